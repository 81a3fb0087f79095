-- Grain: one row per row that the profile's adapter returned.
-- Inputs: adapter_rows (the adapter's query). Rows of people who were forgotten are left out.
-- Cut-off: raw rows that lie under a `ds=` folder landed on that day, whatever the adapter says.
{% from "_forgotten.sql" import let_in %}
select {{ "*" if not day else "columns(lambda name: lower(name) <> 'ds'), date '" ~ day ~ "' as ds" }}
from adapter_rows
where {{ let_in(salt, forgotten) }}
