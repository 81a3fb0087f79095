-- Grain: one row: how many rows break each rule that the suite of `events` checks.
select count(*) filter (event_id is null), count(*) filter (ts is null),
       count(*) filter (user_id is null), count(*) filter (item_id is null),
       count(*) filter (ds is null), count(*) filter (known_on is null),
       count(*) - count(distinct event_id),
       count(*) filter (domain not in ('feed', 'search', 'channel')),
       count(*) filter (event_type not in ('impression', 'click', 'order', 'negative')),
       count(*) filter (value < 0), count(*) filter (place not in ('home', 'work', 'out'))
from '{{ file }}'
