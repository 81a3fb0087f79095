-- Grain: one row per sampled row of a ranking: what the training set would ask the views for.
-- Inputs: samples (with `row`), item_features, user_features.
-- Cut-off: unit and cell as the training set's (entity_rows.sql).
{% from "_snapshot.sql" import unit_of, cell_of, snapshots %}
select s.row, s.user_id, s.item_id, s.event_timestamp,
       {{ unit_of(known, "s") }} as unit, {{ cell_of(known) }} as cell
{% for name in context_columns %}       , s.{{ name }}
{% endfor %}
from (
  select row, user_id, item_id, ts as event_timestamp
{% for name in context_columns %}         , {{ name }}
{% endfor %}
  from samples
) s
{{ snapshots(known, "s") }}
