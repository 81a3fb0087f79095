-- Grain: one row per change of a user's interest: the state right after it (a Feast view).
-- Inputs: interest_events (events that show interest, with their unit; the target's responses too),
--         of the days $first − hold − window … $last, landed by then.
-- Cut-off: a state holds what had landed by its moment, `state_us`: the event's own time when it
--          came in time, the last microsecond of its landing day when it came late (the midnight
--          after it is the next day's: a state of that day could be the same user's at the same
--          time, and neither would be the newer). `event_timestamp` is that moment plus the
--          availability lag.
-- Domains: each has a moment of its own, its newest change: its window ends there and its counts are
--          decayed to it. A later event elsewhere carries them on as they were, for $hold_us.
-- Counts decay by half in $half_life_us; weights are whole millionths, so that sums are exact.
-- Aliases are numbered, not the domains' names, which may be those of other tables here.
{% macro held(newest) %}{{ newest }}.state_us >= m.state_us - $hold_us{% endmacro %}
with shown as (
  select *
  from (
    select user_id, domain, unit, epoch_us(ts) as us, known_on,
           case when ds = known_on then epoch_us(ts)
                else epoch_us((known_on + 1)::timestamptz) - 1 end as state_us
    from interest_events
  )
  where us > state_us - $window_us
),
changes as (
  select distinct user_id, domain, state_us, known_on as ds from shown where known_on >= $first
  union all
  select user_id, domain, max(state_us), max(known_on)
  from shown semi join (from shown where known_on >= $first) using (user_id)
  where known_on < $first
  group by user_id, domain
),
units as (
  select c.user_id, c.domain, c.state_us, c.ds, s.unit, max(s.us) as last_us, count(*) as n,
         sum(round(1e6 * pow(2.0, (s.us - c.state_us) / $half_life_us::double))::bigint)::bigint as weight
  from changes c
  join shown s
    on s.user_id = c.user_id and s.domain = c.domain and s.state_us <= c.state_us
   and s.us > c.state_us - $window_us
  group by all
),
recent as (
  select *
  from units
  qualify row_number() over (
    partition by user_id, domain, state_us order by last_us desc, unit) <= $recent_units
),
states as (
  select user_id, domain, state_us, ds
         , list(unit order by last_us desc, unit) as units
         , list(last_us order by last_us desc, unit) as last_us
         , list(n order by last_us desc, unit) as counts
         , list(weight / 1e6 order by last_us desc, unit) as weights
  from recent
  group by user_id, domain, state_us, ds
),
moments as (select distinct user_id, state_us, ds from states where ds >= $first)
select m.ds, m.user_id, m.state_us
{% for d in domains %}
{% set newest = "d" ~ loop.index %}
       , case when {{ held(newest) }} then {{ newest }}.state_us end as {{ d }}_state_us
{% for part in ("units", "last_us", "counts", "weights") %}
       , case when {{ held(newest) }} then {{ newest }}.{{ part }} else [] end as {{ d }}_{{ part }}
{% endfor %}
{% endfor %}
       , make_timestamptz(m.state_us + $lag_us) as event_timestamp
       , make_timestamptz(m.state_us + $lag_us) as created
from moments m
{% for d in domains %}
{% set newest = "d" ~ loop.index %}
asof left join (from states where domain = '{{ d }}') as {{ newest }}
  on {{ newest }}.user_id = m.user_id and {{ newest }}.state_us <= m.state_us
{% endfor %}
