-- Grain: one row per mature target exposure: the entity rows of the training set.
-- Inputs: icl_labels, impressions (files of the days asked for).
-- Cut-off: none here; features are joined as of `event_timestamp`, the exposure's time.
select l.ds, l.event_id, l.request_id, l.user_id, l.item_id, l.ts as event_timestamp,
       l.unit, i.cell, l.scene, l.y, l.y_click, l.y_order, l.y_negative, l.value
{% for s in sources %}
       , l.ys_{{ s }}, l.ahead_{{ s }}, l.consistent_{{ s }}, l.icl_{{ s }}
{% endfor %}
       , l.icl, i.position
{% for name in context_columns %}       , i.{{ name }}
{% endfor %}
from ({{ labels }}) l
join ({{ impressions }}) i on i.ds = l.ds and i.event_id = l.event_id
