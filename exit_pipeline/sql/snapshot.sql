-- Grain: one row per key of a feature table: the newest, as Feast has it online.
-- Inputs: {{ table }}.
-- Cut-off: event_timestamp >= $oldest; what is older has outlived its TTL.
select {{ keys | join(', ') }}, {{ columns | join(', ') }}
       , epoch_us(event_timestamp) as event_us
from {{ table }}
where event_timestamp >= $oldest
qualify row_number() over (partition by {{ keys | join(', ') }} order by event_timestamp desc) = 1
order by {{ keys | join(', ') }}
