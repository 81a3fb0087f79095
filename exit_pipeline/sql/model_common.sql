-- Grain: one row per value of a numeric input that fills a quantile bin by itself.
-- Inputs: rows (training days only).
select {{ column }}::double
from rows
where isfinite({{ column }}::double)
group by all
having count(*) * $bins > (select count(*) from rows where isfinite({{ column }}::double))
order by all
