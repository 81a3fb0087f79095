-- Grain: one row per mature target exposure of the days $first … $last: the Interest Combination
--        Label, ICL_k = y + ys_k · a_k, and its parts.
-- Inputs: impressions, source_interest, group_consistency (all of $first … $last).
-- Cut-off: an exposure of day D is mature on D + maturity; a_k is what was known on day D.
select i.ds, i.event_id, i.request_id, i.user_id, i.item_id, i.ts, i.unit, i.scene, i.segment,
       i.y, i.y_click, i.y_order, i.y_negative, i.value
{% for s in sources %}
       , s.ys_{{ s }}, s.ahead_{{ s }}, s.count_{{ s }}, s.order_count_{{ s }}, s.last_ts_{{ s }}
       , coalesce(g.support_{{ s }}, 0) as support_{{ s }}, g.lift_raw_{{ s }}, g.lift_{{ s }}
       , coalesce(g.consistent_{{ s }}, 0) as consistent_{{ s }}
       , i.y + s.ys_{{ s }} * coalesce(g.consistent_{{ s }}, 0) as icl_{{ s }}
{% endfor %}
       , greatest(i.y{% for s in sources %}, i.y + s.ys_{{ s }} * coalesce(g.consistent_{{ s }}, 0){% endfor %}) as icl
       , i.ds + $maturity_days::integer as mature_on
from impressions i
join source_interest s on s.ds = i.ds and s.event_id = i.event_id
left join group_consistency g on g.ds = i.ds and g.unit = i.unit and g.cell = i.cell
