-- Grain: one row: the first and the last landing day of a log that does not lie by day, or none.
-- Inputs: adapted (the contract's form; `ds` is the day of `ts`, or the log's own).
-- Rule: more than $lateness_days from one day with rows to the next end a run of days; the log is
--       the run with the most rows, so that a row dated years off makes nothing mature.
with days as (
  select ds, count(*) as rows from adapted where ds is not null group by ds
),
runs as (
  select ds, rows, count(*) filter (apart) over (order by ds) as run
  from (select *, ds - lag(ds) over (order by ds) > $lateness_days as apart from days)
)
select min(ds), max(ds)
from runs
group by run
order by sum(rows) desc, min(ds)
limit 1
