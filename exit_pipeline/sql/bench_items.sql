-- Grain: one row per item of the synthetic log.
select 'i' || lpad(i::varchar, 6, '0') as item_id, 'c' || lpad((i % 40)::varchar, 2, '0') as category,
       'b' || i % 20 as brand, 1.0::double as price,
       timestamptz '2025-01-01' as valid_from, null::timestamptz as valid_to
from range(20000) t(i)
