-- Grain: one row: how many rows lie before the log's first day, where $day is that one, and after
--        its last, where it is that one.
-- Inputs: adapted_days.
select count(*)
from adapted_days
where ($day = $first and ds < $first) or ($day = $last and ds > $last)
