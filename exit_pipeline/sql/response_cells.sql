-- Grain: one row per row of response_sums, numbered by cell, with what its
--        exposures are described by.
-- Inputs: response_sums.
{% from "_described.sql" import description %}
select ds, dense_rank() over (order by rate, own_shown, own_responses) - 1 as cell, n, c,
       {{ description() }}
from response_sums
order by ds, cell
