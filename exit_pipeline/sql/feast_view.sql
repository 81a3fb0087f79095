-- Grain: one row per key and moment at which it becomes available; with `__order`, that moment in
--        microseconds and, behind it, the moment of creation: of rows of one time the latest
--        created is the greatest, so that the join needs no pass over all rows to drop the others.
-- Inputs: one source of a Feast view.
-- Cut-off: with `by_created`, a row is available once it was created too, and a row that was
--          outdated before it became available is dropped; ties go to the latest time, then created.
{% set wide = "hugeint" if sum_bits == 128 else "decimal(38, 0)" %}
{% set two_64, two_63 = "18446744073709551616::" ~ wide, "9223372036854775808::" ~ wide %}
{% set source %}
  select {% for name, column in keys.items() %}{{ column | quoted }} as {{ name | quoted }}, {% endfor %}
         {% for name, column in features.items() %}{{ column | quoted }} as {{ name | quoted }}, {% endfor %}
         {{ timestamp | quoted }}::timestamptz as __ts,
         {% if created %}{{ created | quoted }}::timestamptz{% else %}null::timestamptz{% endif %} as __created
  from ({{ scan }})
{% endset %}
{% if by_created and created %}
with known as (
  select *, greatest(__ts, __created) as __available
  from ({{ source }}) s
  qualify row_number() over (
    partition by {% for name in keys %}{{ name | quoted }}, {% endfor %}__available
    order by __ts desc, __created desc nulls last) = 1
  and (__ts, coalesce(__created, __ts)) >= max((__ts, coalesce(__created, __ts))) over (
    partition by {% for name in keys %}{{ name | quoted }}{{ ", " if not loop.last }}{% endfor %}
    order by __available range between unbounded preceding and current row)
)
select * exclude (__created, __available), epoch_us(__available)::{{ wide }} * {{ two_64 }} as __order
from known
{% else %}
select * exclude (__created),
       epoch_us(__ts)::{{ wide }} * {{ two_64 }}
         + coalesce(epoch_us(__created)::{{ wide }} + {{ two_63 }}, 0) as __order
from ({{ source }}) s
{% endif %}
