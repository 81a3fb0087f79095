-- Grain: ds × unit × cell, for the days $first … $last: does this group carry interest over?
-- Inputs: group_sums (every day up to $last).
-- Cut-off: sums effective on or before ds, so exposures with mature_on <= ds and rows with
--          known_on < ds: nothing of the day itself, nor of its future.
-- Formulas (ours but for `rate`), per source; n1, c1 where y_s = 1; n0, c0 where y_s = 0; capitals
-- for the unit as a whole:
--   r_u = (C0 + 1) / (N0 + 20)                    r_g = (c0 + 100 r_u) / (n0 + 100)
--   lift_raw = (c1 + 3 L) / (n1 r_g + 3),         L = (C1 + 5) / (N1 r_u + 5)
--   lift: n1 r_g is replaced by E, the sum over bands of n1_b r_gb (Mantel–Haenszel), and N1 r_u in
--         L by the sum of E over the unit's cells, where
--         r_ub = (C0_b + 20 r_u) / (N0_b + 20) and r_gb = (c0_b + 100 r_ub) / (n0_b + 100).
--   rate: (c + 100 r) / (n + 100) >= r with r = C / N, so c N >= C n, which is exact.
-- Sums of doubles run over ordered lists, so that two runs agree in the last bit.
{% set regression = consistency.expectation == "regression" %}
with days as (
  select ds::date as ds
  from (select unnest(generate_series($first::date, $last::date, interval 1 day)) as ds)
),
changes as (
  select greatest(ds, $first) as ds, unit, cell, band, sum(n)::bigint as n, sum(c)::bigint as c
{% for s in sources %}         , sum(n1_{{ s }})::bigint as n1_{{ s }}, sum(c1_{{ s }})::bigint as c1_{{ s }}
{% if regression %}         , sum(e1_{{ s }})::bigint as e1_{{ s }}
{% endif %}
{% endfor %}
  from group_sums
  where ds <= $last
  group by all
),
strata as (select unit, cell, band, min(ds) as since from changes group by all),
state as (
  select d.ds, k.unit, k.cell, k.band
         , sum(coalesce(n, 0)) over running as n, sum(coalesce(c, 0)) over running as c
{% for s in sources %}
         , sum(coalesce(n1_{{ s }}, 0)) over running as n1_{{ s }}
         , sum(coalesce(c1_{{ s }}, 0)) over running as c1_{{ s }}
{% if regression %}
         , sum(coalesce(e1_{{ s }}, 0)) over running as e1_{{ s }}
{% endif %}
{% endfor %}
  from strata k
  join days d on d.ds >= k.since
  left join changes x on x.ds = d.ds and x.unit = k.unit and x.cell = k.cell and x.band = k.band
  window running as (partition by k.unit, k.cell, k.band order by d.ds)
),
rates as (
  select ds, unit, cell, band, n, c
         , sum(n) over whole as n_unit, sum(c) over whole as c_unit
{% for s in sources %}
         , n1_{{ s }}, c1_{{ s }}{{ ", e1_" ~ s if regression }}
         , (sum(c - c1_{{ s }}) over whole + 1) / (sum(n - n1_{{ s }}) over whole + 20) as r_unit_{{ s }}
         , sum(n - n1_{{ s }}) over same_band as n0_band_{{ s }}
         , sum(c - c1_{{ s }}) over same_band as c0_band_{{ s }}
{% endfor %}
  from state
  window whole as (partition by ds, unit), same_band as (partition by ds, unit, band)
),
expected as (
  select *
{% for s in sources %}
{% if regression %}
         , e1_{{ s }} / 1000000 as expected_{{ s }}
{% else %}
         , n1_{{ s }} * (c - c1_{{ s }}
             + 100 * (c0_band_{{ s }} + 20 * r_unit_{{ s }}) / (n0_band_{{ s }} + 20))
           / (n - n1_{{ s }} + 100) as expected_{{ s }}
{% endif %}
{% endfor %}
  from rates
),
groups as (
  select ds, unit, cell, sum(n)::bigint as n, sum(c)::bigint as c,
         any_value(n_unit) as n_unit, any_value(c_unit) as c_unit
{% for s in sources %}
         , sum(n1_{{ s }})::bigint as n1_{{ s }}, sum(c1_{{ s }})::bigint as c1_{{ s }}
         , any_value(r_unit_{{ s }}) as r_unit_{{ s }}
         , list_sum(list(expected_{{ s }} order by band)) as expected_{{ s }}
{% endfor %}
  from expected
  group by ds, unit, cell
),
units as (
  select ds, unit
{% for s in sources %}
         , sum(n1_{{ s }}) as n1_{{ s }}, sum(c1_{{ s }}) as c1_{{ s }}
         , list_sum(list(expected_{{ s }} order by cell)) as expected_{{ s }}
{% endfor %}
  from groups
  group by ds, unit
),
lifts as (
  select g.*
{% for s in sources %}
         , (g.c1_{{ s }} + 3 * (u.c1_{{ s }} + 5) / (u.n1_{{ s }} * g.r_unit_{{ s }} + 5))
           / (g.n1_{{ s }} * (g.c - g.c1_{{ s }} + 100 * g.r_unit_{{ s }}) / (g.n - g.n1_{{ s }} + 100) + 3)
           as lift_raw_{{ s }}
         , (g.c1_{{ s }} + 3 * (u.c1_{{ s }} + 5) / (u.expected_{{ s }} + 5))
           / (g.expected_{{ s }} + 3) as lift_{{ s }}
{% endfor %}
  from groups g join units u using (ds, unit)
)
select ds, unit, cell, n, c
{% for s in sources %}
       , n1_{{ s }}, c1_{{ s }}, n1_{{ s }} as support_{{ s }}
       , r_unit_{{ s }}, lift_raw_{{ s }}, lift_{{ s }}
       , {% if consistency.definition == "rate" -%}
         (n >= {{ consistency.min_rate_support }}
          and c::double * n_unit >= c_unit::double * n)::double
         {%- elif consistency.definition == "soft" -%}
         greatest(0, least(1, log2(lift_{{ s }})))
         {%- else -%}
         ({{ "lift_raw" if consistency.definition == "lift_raw" else "lift" }}_{{ s }} >= {{ consistency.least_lift }}
          and n1_{{ s }} >= {{ consistency.min_support }})::double
         {%- endif %} as consistent_{{ s }}
{% endfor %}
from lifts
where n > 0
