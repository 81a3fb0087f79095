-- Grain: one row: the user whose newest interest state holds the most.
-- Inputs: user_interest.
select user_id
from user_interest
where ds = (select max(ds) from user_interest)
group by user_id
order by count(*) desc, user_id
limit 1
