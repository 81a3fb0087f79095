-- Grain: one row per change of a user's interest: the state right after it (a Feast view).
-- Inputs: interest_events (events that show interest, with their unit; the target's responses too),
--         landed on $first − window … $last.
-- Cut-off: a state holds what had landed by its moment, `state_us`: the event's own time when it
--          came in time, the last microsecond of its landing day when it came late (the midnight
--          after it is the next day's: a state of that day could be the same user's at the same
--          time, and neither would be the newer). `event_timestamp` is that moment plus the
--          availability lag.
-- Counts decay by half in $half_life_us; weights are whole millionths, so that sums are exact.
with shown as (
  select user_id, domain, unit, epoch_us(ts) as us, known_on,
         case when ds = known_on then epoch_us(ts)
              else epoch_us((known_on + 1)::timestamptz) - 1 end as state_us
  from interest_events
),
changes as (
  select distinct user_id, state_us, known_on as ds from shown where known_on between $first and $last
),
units as (
  select c.user_id, c.state_us, c.ds, s.domain, s.unit, max(s.us) as last_us, count(*) as n,
         sum(round(1e6 * pow(2.0, (s.us - c.state_us) / $half_life_us::double))::bigint)::bigint as weight
  from changes c
  join shown s
    on s.user_id = c.user_id and s.state_us <= c.state_us and s.known_on <= c.ds
   and s.us > c.state_us - $window_us
  group by all
),
recent as (
  select *
  from units
  qualify row_number() over (
    partition by user_id, state_us, ds, domain order by last_us desc, unit) <= $recent_units
)
select ds, user_id, state_us
{% for d in domains %}
       , coalesce(list(unit order by last_us desc, unit) filter (domain = '{{ d }}'), []) as {{ d }}_units
       , coalesce(list(last_us order by last_us desc, unit) filter (domain = '{{ d }}'), []) as {{ d }}_last_us
       , coalesce(list(n order by last_us desc, unit) filter (domain = '{{ d }}'), []) as {{ d }}_counts
       , coalesce(list(weight / 1e6 order by last_us desc, unit) filter (domain = '{{ d }}'), []) as {{ d }}_weights
{% endfor %}
       , make_timestamptz(state_us + $lag_us) as event_timestamp
       , make_timestamptz(state_us + $lag_us) as created
from recent
group by ds, user_id, state_us
