-- Grain: one row per key and moment at which it becomes available.
-- Inputs: one source of a Feast view.
-- Cut-off: with `by_created`, a row is available once it was created too, and a row that was
--          outdated before it became available is dropped; ties of time go to the latest created.
with source as (
  select {% for name, column in keys.items() %}{{ column | quoted }} as {{ name | quoted }}, {% endfor %}
         {% for name, column in features.items() %}{{ column | quoted }} as {{ name | quoted }}, {% endfor %}
         {{ timestamp | quoted }}::timestamptz as __ts,
         {% if created %}{{ created | quoted }}::timestamptz{% else %}null::timestamptz{% endif %} as __created,
         {% if by_created and created %}greatest({{ timestamp | quoted }}::timestamptz, {{ created | quoted }}::timestamptz)
         {%- else %}{{ timestamp | quoted }}::timestamptz{% endif %} as __available
  from ({{ scan }})
)
select * exclude (__created)
from source
{% if created or by_created %}
qualify row_number() over (
  partition by {% for name in keys %}{{ name | quoted }}, {% endfor %}__available
  order by __ts desc, __created desc nulls last) = 1
{% if by_created and created %}
and (__ts, coalesce(__created, __ts)) >= max((__ts, coalesce(__created, __ts))) over (
  partition by {% for name in keys %}{{ name | quoted }}{{ ", " if not loop.last }}{% endfor %}
  order by __available range between unbounded preceding and current row)
{% endif %}
{% endif %}
