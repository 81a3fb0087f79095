-- Grain: one row per row of described, with the outcome that was expected of it, in millionths.
-- Inputs: described, coefficients (by day of exposure, labels/expectation.py).
-- Cut-off: coefficients of a day are fitted to what was known on its morning.
{% from "_described.sql" import description %}
with facts as (select *, {{ description() }} from described)
select f.*, round(1000000 / (1 + exp(-(
         b.constant + b.group_odds * f.group_odds + b.own_lift * f.own_lift + b.familiar * f.familiar
       ))))::bigint as expected
from facts f join coefficients b using (ds)
