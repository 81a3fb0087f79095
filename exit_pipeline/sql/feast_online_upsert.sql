-- Grain: one feature of one entity in sqlite's online table; an older value never wins.
-- Times are whole microseconds since 1970. Order: by event time, then by created time; the same
-- row again is written again.
-- A row whose event time lies in days that are being rebuilt (the last two parameters) yields to
-- any: the row it came from may be gone.
insert into {{ table | quoted }} (entity_key, feature_name, value, event_ts, created_ts)
values (?, ?, ?, ?, ?)
on conflict (entity_key, feature_name) do update
set value = excluded.value, event_ts = excluded.event_ts, created_ts = excluded.created_ts
where excluded.event_ts > event_ts
   or (excluded.event_ts = event_ts and coalesce(excluded.created_ts, 0) >= coalesce(created_ts, 0))
   or event_ts between ? and ?
