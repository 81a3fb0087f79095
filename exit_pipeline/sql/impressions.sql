-- Grain: one row per target exposure of the days $first … $last, with its outcome.
-- Inputs: {{ events }} (of $first − horizon … $last + horizon: exposures of the days around compete
--         for the same outcomes), items, {{ users }}.
-- Cut-off: an outcome o belongs to an exposure at t when t <= o < t + A, in event time; attributes
--          are those valid at t.
-- Rule: the exposure of the same user and item; of the same request where the outcome names one
--       that has such an exposure, else of any; the latest wins, ties go to the largest event_id.
{% from "_scene.sql" import hour_band, day_kind, composite %}
with exposures as (
  select *
  from {{ events }}
  where domain = $target and event_type = 'impression'
),
responses as (
  select ds, event_id, ts, user_id, item_id, event_type, request_id, value
  from {{ events }}
  where domain = $target and event_type in ('click', 'order', 'negative')
),
attributed as (
  select e.ds, e.event_id, r.event_type, r.value
  from responses r
  join exposures e
    on e.user_id = r.user_id and e.item_id = r.item_id
   and epoch_us(e.ts) <= epoch_us(r.ts) and epoch_us(r.ts) < epoch_us(e.ts) + $attribution_us
  qualify row_number() over (
    partition by r.ds, r.event_id  -- an id may come again after the lateness horizon
    order by coalesce(e.request_id = r.request_id, false) desc, e.ts desc, e.event_id desc) = 1
),
outcomes as (
  select ds, event_id,
         max((event_type = 'click')::tinyint) as y_click,
         max((event_type = 'order')::tinyint) as y_order,
         max((event_type = 'negative')::tinyint) as y_negative,
         sum(value) filter (event_type = 'order')::bigint as value
  from attributed
  group by ds, event_id
),
placed as (
  select e.*, {{ hour_band(scene) }} as hour_band, {{ day_kind(scene) }} as day_kind
  from exposures e
  where ds between $first and $last
)
select e.ds, e.known_on, e.event_id, e.request_id, e.user_id, e.item_id, e.ts, e.position,
       {{ "e.item_id" if unit == "item_id" else "i." ~ unit }} as unit,
       {{ composite(scene.columns) }} as scene,
       {{ composite(group) }} as cell,
       {{ "u." ~ segment if segment else "null::varchar" }} as segment,
       e.hour_band, e.day_kind,
{% for name in context %}       e.{{ name }},
{% endfor %}
       {{ {"click": "coalesce(o.y_click, 0)", "order": "coalesce(o.y_order, 0)",
           "either": "greatest(coalesce(o.y_click, 0), coalesce(o.y_order, 0))"}[outcome] }}::tinyint as y,
       coalesce(o.y_click, 0)::tinyint as y_click,
       coalesce(o.y_order, 0)::tinyint as y_order,
       coalesce(o.y_negative, 0)::tinyint as y_negative,
       coalesce(o.value, 0)::bigint as value
from placed e
left join outcomes o using (ds, event_id)
left join items i
  on i.item_id = e.item_id and i.valid_from <= e.ts and (i.valid_to is null or e.ts < i.valid_to)
left join {{ users }} u
  on u.user_id = e.user_id and u.valid_from <= e.ts and (u.valid_to is null or e.ts < u.valid_to)
