-- Grain: one row per target exposure of the days $first … $last.
-- Inputs: {{ exposures }} (impressions from $first − own-response window on),
--         {{ source_events }} (source_events.sql, from $first − W on to $last + H).
-- Cut-off: before t: [t − W, t) in microseconds of event time; `ahead`: [t, t + H).
--          The user's own response: target exposures in [t − R, t − maturity), all mature by then.
-- Method: one sort by (user, unit, time) serves every window; a count of interest and a count of
--         orders are packed in one 64-bit sum per source (32 bits each). The last time is a running
--         maximum, which costs less than one over a moving frame.
with timeline as (
  select user_id, unit, epoch_us(ts) as us, ds, event_id, y as own, 1 as shown
{% for s in sources %}         , 0::bigint as n_{{ s }}, null::bigint as at_{{ s }}
{% endfor %}
  from {{ exposures }}
  where unit is not null
  union all by name
  select user_id, unit, epoch_us(ts) as us, null as ds, null as event_id, 0 as own, 0 as shown
{% for s in sources %}
         , case when domain = '{{ s }}' then 1 + is_order::bigint * 4294967296 else 0 end as n_{{ s }}
         , case when domain = '{{ s }}' then epoch_us(ts) end as at_{{ s }}
{% endfor %}
  from {{ source_events }}
),
counted as (
  select event_id, ds
         , sum(shown + own::bigint * 4294967296) over own_response as own_packed
{% for s in sources %}
         , sum(n_{{ s }}) over before as before_{{ s }}
         , max(at_{{ s }}) over ever as last_{{ s }}
         , sum(n_{{ s }}) over ahead as ahead_{{ s }}
{% endfor %}
  from timeline
  window
    before as (partition by user_id, unit order by us
               range between $interest_us preceding and 1 preceding),
    ever as (partition by user_id, unit order by us
             range between unbounded preceding and 1 preceding),
    ahead as (partition by user_id, unit order by us
              range between current row and $ahead_us - 1 following),
    own_response as (partition by user_id, unit order by us
                     range between $own_us preceding and $maturity_us + 1 preceding)
  qualify event_id is not null and ds between $first and $last
)
-- An exposure without a unit is in no timeline: nothing was shown in it.
select ds, event_id
       , (coalesce(own_packed, 0)::bigint & 4294967295)::integer as own_shown
       , (coalesce(own_packed, 0)::bigint >> 32)::integer as own_responses
{% for s in sources %}
       , (coalesce(before_{{ s }}, 0) > 0)::tinyint as ys_{{ s }}
       , (coalesce(ahead_{{ s }}, 0) > 0)::tinyint as ahead_{{ s }}
       , (coalesce(before_{{ s }}, 0)::bigint & 4294967295)::integer as count_{{ s }}
       , (coalesce(before_{{ s }}, 0)::bigint >> 32)::integer as order_count_{{ s }}
       , case when before_{{ s }} > 0 then make_timestamptz(last_{{ s }}) end as last_ts_{{ s }}
{% endfor %}
from (
  select * from counted
  union all by name
  select event_id, ds from {{ exposures }} where unit is null and ds between $first and $last
)
