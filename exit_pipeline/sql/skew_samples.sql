-- Grain: one row per sampled row that can be looked at: its inputs as the service read them.
-- Inputs: files of the service's samples; the newest $most of them.
-- Cut-off: requests at or before $until, the moment of the newest snapshot in the lake.
select row_number() over (order by ts, request_id, item_id) as row, *
from (
  select *
  from ({{ files }})
  where ts <= $until
  order by ts desc, request_id, item_id
  limit $most
)
