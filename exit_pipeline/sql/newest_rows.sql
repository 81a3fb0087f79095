-- Grain: one row per key of a feature view: its newest one, as the online store holds it.
-- Inputs: {{ table }}.
select * exclude (ds)
from {{ table | quoted }}
qualify row_number() over (
  partition by {{ keys | join(", ") }} order by event_timestamp desc, created desc
) = 1
