-- Grain: no row; the columns of `events` that deduplication reads, before the first day landed.
select ''::varchar as event_id, ''::varchar as user_id, ''::varchar as item_id,
       ''::varchar as domain, ''::varchar as event_type, make_timestamptz(0) as ts
limit 0
