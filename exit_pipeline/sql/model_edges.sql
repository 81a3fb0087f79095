-- Grain: one row: quantiles of a numeric input over training rows.
-- Inputs: rows (training days only).
select quantile_disc({{ column }}::double, $shares::double[])
from rows
where isfinite({{ column }}::double)
