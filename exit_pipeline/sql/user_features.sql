-- Grain: ds × user: what was known at the end of day ds (a Feast view; written once per day).
-- Inputs: events (of the window before $first … $last), users.
-- Cut-off: rows with known_on <= ds in the window of days (ds − window, ds]; `event_timestamp` is
--          the exclusive end of the day plus the availability lag.
with daily as (
  select user_id, ds as day, known_on
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
  select unnest(generate_series($first::date, $last::date, interval 1 day))::date as ds
),
windowed as (
  select days.ds, user_id
         , sum(shown)::bigint as shown, sum(responses)::bigint as responses
         , sum(negatives)::bigint as negatives
{% for s in sources %}         , sum(interest_{{ s }})::bigint as interest_{{ s }}
{% endfor %}
  from daily join days on daily.known_on <= days.ds and daily.day > days.ds - $window_days::integer
  group by all
)
select w.ds, w.user_id
{% for name in users %}       , u.{{ name }}
{% endfor %}
       , w.shown as user_shown
       , (w.responses + 1) / (w.shown + 20) as user_rate
       , (w.negatives + 1) / (w.shown + 100) as user_negative_rate
{% for s in sources %}       , w.interest_{{ s }} as user_{{ s }}
{% endfor %}
       , (w.ds + 1)::timestamptz + to_microseconds($lag_us) as event_timestamp
       , (w.ds + 1)::timestamptz + to_microseconds($lag_us) as created
from windowed w
left join users u
  on u.user_id = w.user_id and u.valid_from < (w.ds + 1)::timestamptz
 and (u.valid_to is null or (w.ds + 1)::timestamptz <= u.valid_to)
