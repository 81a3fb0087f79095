-- Grain: one row per user of the synthetic log.
select 'u' || i as user_id, 's' || i % 4 as segment, 'a' || i % 4 as age_band,
       timestamptz '2025-01-01' as valid_from, null::timestamptz as valid_to
from range($users) t(i)
