-- {{ table | capitalize }} as the events name them, each from its first event on; drafted by
-- `exit-pipeline profile init`: no table told of them.
select {{ key }}, min(ts) as valid_from, 'events' as file, 0 as row
from (
{% for raw, (column, ts) in keys.items() %}
{% if not loop.first %}
  union all
{% endif %}
  select {{ column }} as {{ key }}, {{ ts }} as ts
  from raw_{{ raw }}
{% endfor %}
)
where {{ key }} <> '' and ts is not null
group by {{ key }}
