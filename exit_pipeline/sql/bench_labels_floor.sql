-- The least that any method does: read, filter, join the item's category, sort by user, category
-- and time.
-- Inputs: events, items.
create temp table sorted as
select e.user_id, i.category, e.ts, e.domain
from events e join items i using (item_id)
where (e.domain = 'feed' and e.event_type = 'impression')
   or (e.domain <> 'feed' and e.event_type in ('click', 'order'))
order by e.user_id, i.category, e.ts
