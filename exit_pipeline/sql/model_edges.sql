-- Grain: one row: quantiles of a numeric input over training rows, values in `common` left out.
-- Inputs: rows (training days only).
select quantile_disc({{ column }}::double, $shares::double[])
from rows
where isfinite({{ column }}::double) and not list_contains($common::double[], {{ column }}::double)
