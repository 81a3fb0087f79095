-- Grain: one row per synthetic event: a quarter exposures of the feed with 8 % clicks, a bit less
--        than a quarter source clicks, the rest source impressions, over 30 days.
-- Inputs: none; $rows events from hashes of their number, so every run makes the same.
with numbers as (
  select i, hash(i, 1) as h1, hash(i, 2) as h2, hash(i, 3) as h3, hash(i, 4) % 1000 as kind
  from range($rows) t(i)
)
select 'e' || i as event_id,
       make_timestamptz(epoch_us(timestamptz '2026-01-05') + (h1 % (30 * 86400000000::ubigint))::bigint) as ts,
       'u' || (h2 % $users) as user_id,
       'i' || lpad((h3 % 20000)::varchar, 6, '0') as item_id,
       case when kind < 270 then 'feed' when kind % 2 = 0 then 'search' else 'channel' end as domain,
       case when kind < 250 then 'impression' when kind < 270 then 'click'
            when kind < 495 then 'click' else 'impression' end as event_type,
       null::varchar as request_id, null::bigint as value, 0::integer as position,
       case h1 % 3 when 0 then 'home' when 1 then 'work' else 'out' end as place,
       make_timestamptz(epoch_us(timestamptz '2026-01-05') + (h1 % (30 * 86400000000::ubigint))::bigint)::date as ds,
       make_timestamptz(epoch_us(timestamptz '2026-01-05') + (h1 % (30 * 86400000000::ubigint))::bigint)::date as known_on
from numbers
order by ds
