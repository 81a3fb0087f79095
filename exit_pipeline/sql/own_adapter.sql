-- Grain: one row per row of a file that is in the contract's form already.
-- Inputs: raw_{{ table }}; columns that may be null and are not there are null in every row.
-- Rule: a row landed on the day that its folder or column `ds` says, else on the day of its `ts`;
--       days outside the log's span are its first or last, where such a row breaks a rule of time.
{% set day = "ds::date" if has_day else "(ts at time zone 'UTC')::date" if has_time else "null::date" %}
select {% for name in present %}{{ "value / 100.0 as value" if name == "value" and in_cents else name | quoted }}, {% endfor %}
{% for name, kind in absent.items() %}null::{{ kind }} as {{ name | quoted }}, {% endfor %}
{% if table == "events" and span %}
       case when {{ day }} is not null
            then greatest(date '{{ span[0] }}', least({{ day }}, date '{{ span[1] }}')) end as ds,
{% elif table == "events" %}
       {{ day }} as ds,
{% endif %}
       file, row
from raw_{{ table }}
