-- Grain: one feature of one entity in sqlite's online table; an older value never wins.
-- Order: by event time, then by created time; the same row again is written again.
insert into {{ table | quoted }} (entity_key, feature_name, value, event_ts, created_ts)
values (?, ?, ?, ?, ?)
on conflict (entity_key, feature_name) do update
set value = excluded.value, event_ts = excluded.event_ts, created_ts = excluded.created_ts
where excluded.event_ts > event_ts
   or (excluded.event_ts = event_ts and coalesce(excluded.created_ts, '') >= coalesce(created_ts, ''))
