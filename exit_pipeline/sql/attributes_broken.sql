-- Grain: one row per rule that rows of items or users break: its name and how many do.
-- Inputs: adapted (the profile's adapter for items or users).
{% for name in (key, "valid_from") %}
select '{{ name }} is missing' as problem, count(*) as rows
from adapted
where {{ name }} is null{{ " or " ~ name ~ " = ''" if name == key }}
union all
{% endfor %}
{% for name, attribute in attributes.items() if attribute.type == "numeric" %}
select '{{ name }} is not finite', count(*) from adapted where not isfinite({{ name }}::double)
union all
{% endfor %}
select 'an id is too long', count(*) from adapted where length({{ key }}) > $longest_id
