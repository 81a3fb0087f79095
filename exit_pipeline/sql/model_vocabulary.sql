-- Grain: one row per value of a categorical input that is frequent enough in training rows.
-- Inputs: rows (training days only).
select {{ column }}::varchar
from rows
where {{ column }} is not null
group by 1
having count(*) >= $least
order by 1
