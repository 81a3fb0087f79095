-- Grain: one row per row of signed, with how often its group responds without interest in any source,
--        as known on the morning of the exposure's day.
-- Inputs: signed; group_sums before $first, once there are any.
-- Cut-off: sums effective on or before the day of the exposure.
-- Formula (ours): r_u = (C0 + 1) / (N0 + 20), r = (c0 + 100 r_u) / (n0 + 100), capitals for the unit
--         as a whole; `rate` is ln(r / (1 − r)) in tenths.
with changes as (
  select effective as ds, unit, cell, sign as n0, sign * y as c0, false as asked
  from signed where quiet
{% if earlier %}
  union all
  select ds, unit, cell, n0, c0, false from group_sums where ds < $first
{% endif %}
  union all
  select distinct ds, unit, cell, 0, 0, true from signed
),
known as (
  select ds, unit, cell, asked,
         sum(n0) over own as n0, sum(c0) over own as c0,
         (sum(c0) over whole + 1) / (sum(n0) over whole + 20) as r_unit
  from changes
  window own as (partition by unit, cell order by ds), whole as (partition by unit order by ds)
  qualify asked
),
rates as (select ds, unit, cell, (c0 + 100 * r_unit) / (n0 + 100) as r from known)
select s.*, round(10 * ln(r / (1 - r)))::integer as rate
from signed s join rates k on k.ds = s.ds and k.unit = s.unit and k.cell = s.cell
