-- Grain: ds × rate × own_shown × own_responses: exposures without interest in any source, and their
--        outcomes, by all that the regression knows of them; what becomes known on the morning of ds.
-- Inputs: described.
-- Cut-off: that of signed.sql; `rate` and the user's own response are as of before the exposure.
select effective as ds, rate, own_shown, own_responses,
       sum(sign)::bigint as n, sum(sign * y)::bigint as c
from described
where quiet
group by all
