-- Grain: one row: how many rows of a feature table go online, and the newest event time of all.
-- Inputs: {{ table }}.
-- Cut-off: event_timestamp >= $since, the start of the earliest day that changed.
select count(*) filter (event_timestamp >= $since), max(event_timestamp)
from {{ table }}
