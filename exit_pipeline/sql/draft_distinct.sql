-- Grain: one row: how many values a column has.
-- Inputs: looked_at (a sample of one raw table).
select count(distinct {{ column | quoted }}) from looked_at
