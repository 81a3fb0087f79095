-- Grain: one row per pushed event: `ds` and `known_on` are its own day, on which it is to land.
-- Inputs: arriving (rows of the log contract).
select event_id, user_id, item_id, domain, event_type, ts, ts::date as ds, ts::date as known_on
from arriving
