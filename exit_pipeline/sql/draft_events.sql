-- Raw events to the log contract, drafted by `exit-pipeline profile init`; it is yours to change.
-- Times are UTC. `ds` is the day that brought a row, `file` and `row` say where it stood.
{% for table in tables %}
{% if not loop.first %}
union all by name
{% endif %}
{% for note in table.notes %}
-- {{ note }}
{% endfor %}
select
{% for name, sql in table.columns.items() %}
  {{ sql }} as {{ name }},
{% endfor %}
  {{ table.day }} as ds, file, row
from raw_{{ table.name }}
{% if table.left_out %}
where ({{ table.left_out }}) is not true
{% endif %}
{% endfor %}
