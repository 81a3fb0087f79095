-- Grain: one row per impression: the entity rows of a join outside the training set.
-- Inputs: placed (impressions.sql over candidates, whose outcomes nobody knows, or over a source),
--         item_features, user_features.
-- Cut-off: unit and cell as the training set's (entity_rows.sql).
{% from "_snapshot.sql" import unit_of, cell_of, snapshots %}
select p.event_id, p.request_id, p.user_id, p.item_id, p.event_timestamp,
       {{ unit_of(known, "p") }} as unit, {{ cell_of(known) }} as cell, p.scene, p.position
{% if labels %}       , p.y, p.y_click, p.y_order, p.y_negative, p.value
{% endif %}
{% for name in context_columns %}       , p.{{ name }}
{% endfor %}
from (
  select event_id, request_id, user_id, item_id, ts as event_timestamp, scene, position
{% if labels %}         , y, y_click, y_order, y_negative, value
{% endif %}
{% for name in context_columns %}         , {{ name }}
{% endfor %}
  from placed
) p
{{ snapshots(known, "p") }}
