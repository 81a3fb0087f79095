-- {{ table | capitalize }} as the events name them, drafted by `exit-pipeline profile init`: no table told of them.
{% for raw, column in keys.items() %}
{% if not loop.first %}
union
{% endif %}
select distinct {{ column }} as {{ key }}, timestamptz '1970-01-01 00:00:00+00' as valid_from,
       'events' as file, 0 as row
from raw_{{ raw }}
where {{ column }} is not null and {{ column }} <> ''
{% endfor %}
