-- Grain: one row per exposure or source click: what the pandas peer starts from.
select e.user_id, i.category, e.ts, e.domain
from events e join items i using (item_id)
where (e.domain = 'feed' and e.event_type = 'impression')
   or (e.domain <> 'feed' and e.event_type = 'click')
