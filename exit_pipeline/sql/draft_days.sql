-- Grain: one row: the first and the last day of a log.
-- Inputs: looked_at (the time column of all raw rows).
-- Method: a day with less than a hundredth of the usual day's rows is broken time, not a day.
with days as (
  select ({{ ts }})::date as day, count(*) as n from looked_at group by all
)
select min(day), max(day)
from days
where day is not null and n >= (select median(n) from days) / 100
