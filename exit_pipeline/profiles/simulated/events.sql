-- The simulator writes the contract's form already; `ds` is the landing day.
select event_id, ts, user_id, item_id, domain, event_type, request_id, value, position, place,
       ds, file, row
from raw_events
