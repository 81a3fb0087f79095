-- Grain: one row per row of a source in a range of time; with `latest`, the newest row per key.
-- Inputs: one source of a Feast view.
select {% for name, column in columns.items() %}{{ column | quoted }} as {{ name | quoted }}{{ ", " if not loop.last }}{% endfor %}
from ({{ scan }})
where true
{% if start %}  and {{ timestamp | quoted }}::timestamptz >= $start
{% endif %}
{% if end %}  and {{ timestamp | quoted }}::timestamptz <= $end
{% endif %}
{% if latest %}
qualify row_number() over (
  partition by {% for key in keys %}{{ key | quoted }}{{ ", " if not loop.last }}{% endfor %}
  order by {{ timestamp | quoted }} desc{% if created %}, {{ created | quoted }} desc nulls last{% endif %}) = 1
{% endif %}
