-- Grain: one row per row that the profile's adapter returned.
-- Inputs: adapter_rows (the adapter's query). Rows of people who were forgotten are left out; they
--         are told by a salted hash.
-- Cut-off: raw rows that lie under a `ds=` folder landed on that day, whatever the adapter says.
select {{ "*" if not day else "columns(lambda name: lower(name) <> 'ds'), date '" ~ day ~ "' as ds" }}
from adapter_rows
{% if forgotten %}
where not coalesce(list_contains([
  {%- for one in forgotten %}{{ one | literal }}{{ ", " if not loop.last }}{% endfor -%}
  ], sha256({{ salt | literal }} || user_id::varchar)), false)
{% endif %}
