-- Grain: one row per entity row: a user, an item and a moment of the last 20 of 30 days.
select i as event_id, 'u' || (hash(i, 1) % 100000) as user_id, 'i' || (hash(i, 3) % 20000) as item_id,
       make_timestamptz(1767571200000000 + 864000000000
                        + (hash(i, 2) % 1728000000000::ubigint)::bigint) as event_timestamp
from range($rows) t(i)
