-- Grain: one row: how many rows of a feature table are newer than what is online, and the newest.
-- Inputs: {{ table }}.
-- Cut-off: event_timestamp > $since.
select count(*), max(event_timestamp)
from {{ table }}
where event_timestamp > $since
