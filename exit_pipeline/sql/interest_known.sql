-- Grain: one row per event that shows interest, of the users in `touched`: landed or pushed.
-- Inputs: landed_interest and pushed_interest (interest_events.sql), touched (user_id).
-- Rule: what was pushed and has landed since is there once, as it landed. An id that landed further
--       away than rows may be late is another event's.
select l.* from landed_interest l semi join touched using (user_id)
union all by name
select p.*
from pushed_interest p
semi join touched using (user_id)
anti join landed_interest l
  on l.event_id = p.event_id and abs(l.ds - p.ds) <= $lateness_days
