-- Grain: one row per sampled row of a ranking: what the training set would ask the views for.
-- Inputs: samples (with `row`), items, users.
-- Cut-off: unit and cell as the training set's (entity_rows.sql).
{% from "_scene.sql" import composite %}
{% from "_snapshot.sql" import as_snapshot %}
select s.row, s.user_id, s.item_id, s.event_timestamp,
       {{ "s.item_id" if unit == "item_id" else "k." ~ unit }} as unit,
       {{ composite(group) }} as cell
{% for name in context_columns %}       , s.{{ name }}
{% endfor %}
from (
  select row, user_id, item_id, ts as event_timestamp
{% for name in context_columns %}         , {{ name }}
{% endfor %}
  from samples
) s
{{ as_snapshot("from items", "k", "item_id", "s", "s.event_timestamp", lag_us) }}
{{ as_snapshot("from users", "u", "user_id", "s", "s.event_timestamp", lag_us) }}
