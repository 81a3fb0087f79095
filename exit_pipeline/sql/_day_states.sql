-- Grain: one row per day of a table about to be written.
-- The hash is a sum over rows of integer hashes, so neither row order nor file layout can move it.
select {{ day | quoted }} as day,
       count(*) as rows,
       printf('%016x%016x',
              (sum(hash({{ columns }})::hugeint) % 18446744073709551616)::ubigint,
              (sum(hash(hash({{ columns }}), 17)::hugeint) % 18446744073709551616)::ubigint) as hash
from {{ table | quoted }}
group by day
order by day
