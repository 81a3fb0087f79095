-- Grain: one row per entity row: a user and a moment of 20 days.
select i as event_id, 'u' || (hash(i, 1) % 100000) as user_id,
       make_timestamptz(1767571200000000 + (hash(i, 2) % 1728000000000::ubigint)::bigint) as event_timestamp
from range($rows) t(i)
