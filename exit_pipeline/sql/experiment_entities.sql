-- Grain: one row per impression: the entity rows of a join outside the training set.
-- Inputs: placed (impressions.sql over candidates, whose outcomes nobody knows, or over a source).
select event_id, request_id, user_id, item_id, ts as event_timestamp, unit, cell, scene, position
{% if labels %}       , y, y_click, y_order, y_negative, value
{% endif %}
{% for name in context_columns %}       , {{ name }}
{% endfor %}
from placed
