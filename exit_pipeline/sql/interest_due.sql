-- Grain: one row per user: the newest state of interest that may be seen by now.
-- Inputs: pending (rows of user_interest).
-- Cut-off: event_timestamp <= $now.
select * exclude (ds)
from pending
where event_timestamp <= $now
qualify row_number() over (partition by user_id order by event_timestamp desc) = 1
