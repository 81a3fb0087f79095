-- Grain: user × landing day that brought rows of that user late.
-- Inputs: {{ events }}.
select distinct user_id, known_on as landed
from {{ events }}
where known_on > ds
