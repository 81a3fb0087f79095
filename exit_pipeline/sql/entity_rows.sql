-- Grain: one row per mature target exposure: the entity rows of the training set.
-- Inputs: icl_labels, impressions (files of the days asked for), item_features, user_features.
-- Cut-off: features are joined as of `event_timestamp`, the exposure's time; `unit` and `cell` are
--          what the newest snapshots said by then (_snapshot.sql), not what was valid at the
--          exposure, by which labels are made.
{% from "_snapshot.sql" import unit_of, cell_of, snapshots %}
with exposures as (
  select l.ds, l.event_id, l.request_id, l.user_id, l.item_id, l.ts as event_timestamp, l.scene,
         l.y, l.y_click, l.y_order, l.y_negative, l.value
{% for s in sources %}
         , l.ys_{{ s }}, l.ahead_{{ s }}, l.consistent_{{ s }}, l.icl_{{ s }}
{% endfor %}
         , l.icl, i.position
{% for name in context_columns %}         , i.{{ name }}
{% endfor %}
  from ({{ labels }}) l
  join ({{ impressions }}) i on i.ds = l.ds and i.event_id = l.event_id
)
select e.ds, e.event_id, e.request_id, e.user_id, e.item_id, e.event_timestamp,
       {{ unit_of(known, "e") }} as unit, {{ cell_of(known) }} as cell,
       e.scene, e.y, e.y_click, e.y_order, e.y_negative, e.value
{% for s in sources %}
       , e.ys_{{ s }}, e.ahead_{{ s }}, e.consistent_{{ s }}, e.icl_{{ s }}
{% endfor %}
       , e.icl, e.position
{% for name in context_columns %}       , e.{{ name }}
{% endfor %}
from exposures e
{{ snapshots(known, "e") }}
