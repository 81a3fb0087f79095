-- Grain: one row per key of a feature view: its newest one, as the online store holds it.
-- Inputs: {{ table }}.
select {{ keys | join(", ") }}, {{ columns | map("quoted") | join(", ") }}
     , epoch_us(event_timestamp) as event_us
from {{ table | quoted }}
qualify row_number() over (
  partition by {{ keys | join(", ") }} order by event_timestamp desc, created desc
) = 1
order by {{ keys | join(", ") }}
