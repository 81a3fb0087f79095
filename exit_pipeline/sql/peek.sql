-- Grain: one row per row of the table, at most $rows: those of the newest days first.
-- Inputs: seen (days of the table from the newest back, or the only day asked for).
select {{ columns | map("quoted") | join(", ") }}
from seen
order by {{ day | quoted ~ " desc, " if day }}{{ columns[:3] | map("quoted") | join(", ") }}
limit $rows
