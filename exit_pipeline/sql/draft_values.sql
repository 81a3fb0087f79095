-- Grain: one row per value of a text column and how often it stands there, the commonest first.
-- Inputs: looked_at (a sample of one raw table).
select {{ column | quoted }}::varchar as value, count(*) as n
from looked_at
where {{ column | quoted }} is not null
group by all
order by n desc, value
limit $most
