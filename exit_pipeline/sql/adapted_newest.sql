-- Grain: one row: the newest landing day of the log, $first … $last, that rows say brought them, or
--        null; a row that says none is told with the profile's first day.
-- Inputs: adapted (the profile's adapter over raw files that do not lie by day).
select max(coalesce(ds, $first)) as newest
from adapted
where coalesce(ds, $first) between $first and $last
