-- Grain: one row per day of a table that holds rows of the person: the day, and how many.
-- Inputs: rows (the table; one without days counts as one day); person (their id); their_events
--         (ds and event_id of the person's impressions).
select {{ day | quoted if day else "date '0001-01-01'" }} as day, count(*) as rows
from rows
where {{ theirs }}
group by day
order by day
