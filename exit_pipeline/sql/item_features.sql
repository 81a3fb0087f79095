-- Grain: ds × item: what was known at the end of day ds (a Feast view; written once per day).
-- Inputs: events (of the window before $first … $last), items.
-- Cut-off: rows with known_on <= ds in the window of days (ds − window, ds]; `event_timestamp` is
--          the exclusive end of the day plus the availability lag.
with daily as (
  select item_id, ds as day, known_on
         , count(*) filter (event_type = 'impression') as shown
         , count(*) filter (event_type in ('click', 'order')) as responses
         , count(*) filter (event_type = 'order') as orders
         , count(*) filter (event_type = 'negative') as negatives
  from events
  where domain = $target and known_on <= $last
  group by all
),
days as (
  select ds::date as ds
  from (select unnest(generate_series($first::date, $last::date, interval 1 day)) as ds)
),
windowed as (
  select days.ds, item_id
         , sum(shown)::bigint as shown, sum(responses)::bigint as responses
         , sum(orders)::bigint as orders, sum(negatives)::bigint as negatives
  from daily join days on daily.known_on <= days.ds and daily.day > days.ds - $window_days::integer
  group by all
)
select d.ds, i.item_id
{% for name in items %}       , i.{{ name }}
{% endfor %}
       , coalesce(w.shown, 0) as item_shown
       , (coalesce(w.responses, 0) + 1) / (coalesce(w.shown, 0) + 20) as item_rate
       , (coalesce(w.orders, 0) + 1) / (coalesce(w.shown, 0) + 100) as item_order_rate
       , (coalesce(w.negatives, 0) + 1) / (coalesce(w.shown, 0) + 100) as item_negative_rate
       , make_timestamptz(epoch_us((d.ds + 1)::timestamptz) + $lag_us) as event_timestamp
       , make_timestamptz(epoch_us((d.ds + 1)::timestamptz) + $lag_us) as created
from days d
join items i
  on i.valid_from < (d.ds + 1)::timestamptz
 and (i.valid_to is null or (d.ds + 1)::timestamptz <= i.valid_to)
left join windowed w on w.ds = d.ds and w.item_id = i.item_id
