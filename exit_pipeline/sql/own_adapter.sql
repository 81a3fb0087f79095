-- Grain: one row per row of a file that is in the contract's form already.
-- Inputs: raw_{{ table }}; columns that may be null and are not there are null in every row.
select {% for name in present %}{{ name | quoted }}, {% endfor %}
{% for name, kind in absent.items() %}null::{{ kind }} as {{ name | quoted }}, {% endfor %}
{% if table == "events" %}       {{ "ds::date" if has_day else "(ts at time zone 'UTC')::date" }} as ds,
{% endif %}       file, row
from raw_{{ table }}
