-- Grain: one row per target exposure of the days $first … $last.
-- Inputs: exposures (impressions from $first − own-response window on),
--         source events (source_events.sql, from $first − W on to $last + H).
-- Cut-off: before t: [t − W, t) in microseconds of event time; `ahead`: [t, t + H).
--          The user's own response: target exposures in [t − R, t − maturity), all mature by then.
-- Method: one sort by (user, unit, time) serves every window. What counts is the number of windowed
--         aggregates, so two sources share a 128-bit sum: 32 bits each for interest and for orders
--         of the first, then of the second. The last time before t is a value, not an aggregate.
{% set two_32, two_64, two_96 = 4294967296, 18446744073709551616, 79228162514264337593543950336 %}
{# Spark's widest sum of whole numbers has 64 bits: one source each. #}
{% set pairs = sources | batch(sum_bits // 64) | list %}
{% set wide = "hugeint" if sum_bits == 128 else "bigint" %}
with timeline as (
  select user_id, unit, epoch_us(ts) as us, ds, event_id, y as own, 1 as shown
{% for pair in pairs %}         , 0::{{ wide }} as shows_{{ loop.index }}, 0::bigint as counts_{{ loop.index }}
{% endfor %}
{% for s in sources %}         , null::bigint as at_{{ s }}
{% endfor %}
  from {{ exposures }}
  where unit is not null
  union all by name
  select user_id, unit, epoch_us(ts) as us, null as ds, null as event_id, 0 as own, 0 as shown
{% for pair in pairs %}
         , case domain
             when '{{ pair[0] }}' then 1 + is_order::{{ wide }} * {{ two_32 }}
             {% if pair | length > 1 -%}
             when '{{ pair[1] }}' then {{ two_64 }}::hugeint + is_order::hugeint * {{ two_96 }}
             {% endif -%}
             else 0 end as shows_{{ loop.index }}
         , case domain when '{{ pair[0] }}' then 1 {% if pair | length > 1 %}when '{{ pair[1] }}' then {{ two_32 }} {% endif %}else 0 end::bigint as counts_{{ loop.index }}
{% endfor %}
{% for s in sources %}         , case when domain = '{{ s }}' then epoch_us(ts) end as at_{{ s }}
{% endfor %}
  from {{ source_events }}
),
counted as (
  select event_id, ds
         , sum(shown + own::bigint * {{ two_32 }}) over own_response as own_packed
{% for pair in pairs %}
         , coalesce(sum(shows_{{ loop.index }}) over before, 0) as before_{{ loop.index }}
         , coalesce(sum(counts_{{ loop.index }}) over ahead, 0)::bigint as ahead_{{ loop.index }}
{% endfor %}
{% for s in sources %}         , last_value(at_{{ s }} ignore nulls) over ever as last_{{ s }}
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
),
unpacked as (
  select ds, event_id
         , (own_packed::bigint & {{ two_32 - 1 }})::integer as own_shown
         , (own_packed::bigint >> 32)::integer as own_responses
{% for pair in pairs %}
{% set number = loop.index %}
{% for s in pair %}
         , ((before_{{ number }} >> {{ 64 * loop.index0 }}) & {{ two_32 - 1 }})::integer as count_{{ s }}
         , ((before_{{ number }} >> {{ 64 * loop.index0 + 32 }}) & {{ two_32 - 1 }})::integer as order_count_{{ s }}
         , ((ahead_{{ number }} >> {{ 32 * loop.index0 }}) & {{ two_32 - 1 }}) > 0 as ahead_{{ s }}
         , last_{{ s }}
{% endfor %}
{% endfor %}
  from counted
  -- An exposure without a unit is in no timeline: nothing was shown in it.
  union all by name
  select ds, event_id from {{ exposures }} where unit is null and ds between $first and $last
)
select ds, event_id
       , coalesce(own_shown, 0) as own_shown, coalesce(own_responses, 0) as own_responses
{% for s in sources %}
       , (coalesce(count_{{ s }}, 0) > 0)::tinyint as ys_{{ s }}
       , coalesce(ahead_{{ s }}, false)::tinyint as ahead_{{ s }}
       , coalesce(count_{{ s }}, 0) as count_{{ s }}
       , coalesce(order_count_{{ s }}, 0) as order_count_{{ s }}
       , case when count_{{ s }} > 0 then make_timestamptz(last_{{ s }}) end as last_ts_{{ s }}
{% endfor %}
from unpacked
