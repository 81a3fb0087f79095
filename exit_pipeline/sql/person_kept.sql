-- Grain: one row per row of a table's day (or of a table without days) that is not the person's.
-- Inputs: rows (that day of the table); person (their id); their_events.
select *
from rows
where not coalesce({{ theirs }}, false)
