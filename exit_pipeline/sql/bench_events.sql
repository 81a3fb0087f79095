-- Grain: one row per synthetic event over 30 days. Of every thousand: 250 exposures of the feed,
--        20 clicks (8 % of the exposures), 4 orders and 2 dislikes of them; 225 source clicks and
--        4 orders of what they clicked; the rest source impressions.
-- Inputs: none; $rows events from hashes of their number, so every run makes the same.
-- What follows another event has that event's user, item and request, half an hour later at most;
-- the log's last hour has no other events, so that all of it lies in the 30 days.
with numbers as (
  select i, i % 1000 as kind,
         -- The event that this one follows, or itself.
         i - case when kind between 250 and 269 then 250 when kind between 270 and 273 then 270
                  when kind between 274 and 275 then 254 when kind between 501 and 504 then 224
                  else 0 end as origin
  from range($rows) t(i)
),
hashed as (
  select i, kind, origin, kind < 276 as of_feed,
         hash(origin, 1) as h1, hash(origin, 2) as h2, hash(origin, 3) as h3,
         (h1 % (30 * 86400000000 - 3600000000)::ubigint)::bigint
         + case when origin < i then 1 + (hash(i, 5) % 1800000000::ubigint)::bigint else 0 end as us
  from numbers
)
select 'e' || i as event_id,
       make_timestamptz(epoch_us(timestamptz '2026-01-05') + us) as ts,
       'u' || (h2 % $users) as user_id,
       'i' || lpad((h3 % 20000)::varchar, 6, '0') as item_id,
       case when of_feed then 'feed' when origin % 2 = 0 then 'search' else 'channel' end as domain,
       case when kind < 250 then 'impression' when kind < 270 then 'click'
            when kind < 274 then 'order' when kind < 276 then 'negative'
            when kind < 501 then 'click' when kind < 505 then 'order'
            else 'impression' end as event_type,
       case when of_feed then 'r' || origin end as request_id,
       case when event_type = 'order' then 100 + (hash(i, 6) % 9900)::bigint end as value,
       0::integer as position,
       case h1 % 3 when 0 then 'home' when 1 then 'work' else 'out' end as place,
       ts::date as ds, ts::date as known_on
from hashed
order by ds
