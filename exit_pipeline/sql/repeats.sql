-- Grain: one row: rows read, repeats dropped, and how many of these say something else than the
--        event kept.
-- Inputs: checked (events_checked.sql), kept (events.sql), earlier.
with first_seen as (
  select distinct on (event_id) *
  from (
    select event_id, ts, user_id, item_id, domain, event_type from kept
    union all by name
    select event_id, ts, user_id, item_id, domain, event_type from earlier
  )
)
select (select count(*) from adapted where coalesce(ds, $undated) = $day) as read,
       count(*) as duplicates,
       count(*) filter (
         where (r.ts, r.user_id, r.item_id, r.domain, r.event_type)
           is distinct from (f.ts, f.user_id, f.item_id, f.domain, f.event_type)) as conflicting
from checked r left join first_seen f using (event_id)
where r.__repeat
