-- Grain: one row per key and moment at which it becomes available; with `__order`, that moment in
--        microseconds and, behind it, the moment of creation: of rows of one time the latest
--        created is the greatest, so that the join needs no pass over all rows to drop the others.
-- Inputs: one source of a Feast view; with `numbered`, `__id` says which of its rows each is.
-- Cut-off: with `by_created`, a row is available once it was created too, and a row that was
--          outdated before it became available is dropped; ties go to the latest time, then created.
{% from "_asof.sql" import moment, wide %}
{% set source %}
  select {% for name, column in keys.items() %}{{ column | quoted }} as {{ name | quoted }}, {% endfor %}
         {% for name, column in features.items() %}{{ column | quoted }} as {{ name | quoted }}, {% endfor %}
         {% if numbered %}__id, {% endif %}{{ timestamp | quoted }}::timestamptz as __ts,
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
select * exclude (__created, __available), {{ moment("__available", sum_bits) }} as __order
from known
{% else %}
select * exclude (__created),
       {{ moment("__ts", sum_bits) }}
         + coalesce(epoch_us(__created)::{{ wide(sum_bits) }} + 9223372036854775808::{{ wide(sum_bits) }}, 0)
         as __order
from ({{ source }}) s
{% endif %}
