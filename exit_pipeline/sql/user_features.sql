-- Grain: ds × user: what was known at the end of day ds (a Feast view; written once per day).
-- Inputs: events (of the window before $first … $last), users.
-- Cut-off: rows with known_on <= ds in the window of days (ds − window, ds]; `event_timestamp` is
--          the exclusive end of the day plus the availability lag.
-- Domains: a count is null where its own domain saw nothing of the user in the window, and a row
--          follows the last day of a window that held something, so that no event of one domain
--          decides what another's counts say, nor how long. Whoever is in `users` has a row.
with daily as (
  select user_id, ds as day, known_on
         , count(*) filter (domain = $target) as seen
         , count(*) filter (domain = $target and event_type = 'impression') as shown
         , count(*) filter (domain = $target and event_type in ('click', 'order')) as responses
         , count(*) filter (domain = $target and event_type = 'negative') as negatives
{% for s in sources %}
         , count(*) filter (domain = '{{ s }}' and list_contains($interest_types, event_type)) as interest_{{ s }}
{% endfor %}
  from events
  where known_on <= $last
  group by all
),
days as (
  select ds::date as ds
  from (select unnest(generate_series($first::date, $last::date, interval 1 day)) as ds)
),
windowed as (
  select days.ds, user_id
         , sum(seen) > 0 as seen, sum(shown)::bigint as shown, sum(responses)::bigint as responses
         , sum(negatives)::bigint as negatives
{% for s in sources %}         , nullif(sum(interest_{{ s }}), 0)::bigint as interest_{{ s }}
{% endfor %}
  from daily join days on daily.known_on <= days.ds and daily.day > days.ds - $window_days::integer
  group by all
),
past as (
  select distinct ds, user_id
  from (select user_id, known_on, day + $window_days::integer as ds from daily)
  where ds between $first and $last and known_on <= ds
),
known as (
  select d.ds, u.user_id{% for name in users %}, u.{{ name }}{% endfor %}

  from days d
  join users u
    on u.valid_from < (d.ds + 1)::timestamptz
   and (u.valid_to is null or (d.ds + 1)::timestamptz <= u.valid_to)
)
select ds, user_id
{% for name in users %}       , u.{{ name }}
{% endfor %}
       , case when w.seen then w.shown end as user_shown
       , case when w.seen then (w.responses + 1) / (w.shown + 20) end as user_rate
       , case when w.seen then (w.negatives + 1) / (w.shown + 100) end as user_negative_rate
{% for s in sources %}       , w.interest_{{ s }} as user_{{ s }}
{% endfor %}
       , make_timestamptz(epoch_us((ds + 1)::timestamptz) + $lag_us) as event_timestamp
       , make_timestamptz(epoch_us((ds + 1)::timestamptz) + $lag_us) as created
from windowed w
full join known u using (ds, user_id)
full join past using (ds, user_id)
