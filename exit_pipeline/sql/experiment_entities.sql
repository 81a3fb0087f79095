-- Grain: one row per impression: the entity rows of a join whose labels nobody knows yet.
-- Inputs: placed (impressions.sql over candidates).
select event_id, request_id, user_id, item_id, ts as event_timestamp, unit, cell, scene, position
{% for name in context_columns %}       , {{ name }}
{% endfor %}
from placed
