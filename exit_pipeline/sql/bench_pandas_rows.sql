-- Grain: one row per exposure or source event: what the pandas peer of the source-interest step
--        starts from; the step itself starts from the same tables.
-- Inputs: impressions, events, items.
-- An enum comes to pandas as numbers; of a source's events no id is asked for.
select event_id, user_id, unit, ts, domain::enum('feed', 'search', 'channel') as domain, marked
from (
  select event_id, user_id, unit, ts, 'feed' as domain, y as marked
  from impressions
  union all
  select null, e.user_id, i.category, e.ts, e.domain, (e.event_type = 'order')::tinyint
  from events e join items i using (item_id)
  where e.domain <> 'feed' and e.event_type in ('click', 'order')
)
