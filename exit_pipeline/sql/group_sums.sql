-- Grain: ds × unit × cell × band: what becomes known on the morning of day ds.
-- Inputs: labelled (impressions ⋈ source_interest of users without late rows, exposure days
--         $first − maturity … $last − maturity); versions (late_versions.sql: each state that an
--         exposure of a user with late rows was ever in, with the days it holds).
-- Cut-off: an exposure enters on `mature_on`; a late row changes sums only after its `known_on`.
-- band: the user's own earlier response to the unit, from cold to warm (ours).
{% macro band() -%}
case when own_responses >= 2 then 4 when own_responses = 1 then 3 when own_shown = 0 then 2
     when own_shown < 5 then 1 else 0 end
{%- endmacro %}
with signed as (
  select ds + $maturity_days::integer as effective, 1 as sign, unit, cell, {{ band() }} as band, y
{% for s in sources %}         , ys_{{ s }}
{% endfor %}
  from labelled
  union all by name
  select unnest([valid_from, valid_to]) as effective, unnest([1, -1]) as sign,
         unit, cell, {{ band() }} as band, y
{% for s in sources %}         , ys_{{ s }}
{% endfor %}
  from versions
)
select effective as ds, unit, cell, band::tinyint as band,
       sum(sign)::bigint as n,
       sum(sign * y)::bigint as c
{% for s in sources %}
       , sum(sign * ys_{{ s }})::bigint as n1_{{ s }}
       , sum(sign * ys_{{ s }} * y)::bigint as c1_{{ s }}
{% endfor %}
from signed
where effective between $first and $last and unit is not null
group by all
