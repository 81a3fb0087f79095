-- Grain: one row per key and `valid_from`, the first of its repeats by (file, row).
-- Inputs: adapted (the profile's adapter for items or users), no row broken (attributes_broken.sql).
-- Validity is half open: [valid_from, valid_to).
with kept as (
  select {{ key }}::varchar as {{ key }}, valid_from::timestamptz as valid_from
{% for name, attribute in attributes.items() %}
         , {{ name }}::{{ "varchar" if attribute.type == "categorical" else "double" }} as {{ name }}
{% endfor %}
  from adapted
  qualify row_number() over (partition by {{ key }}, valid_from order by file, row) = 1
)
select *, lead(valid_from) over (partition by {{ key }} order by valid_from) as valid_to
from kept
