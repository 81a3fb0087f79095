-- Grain: one row per row that the adapter returned for landing day $day, `rule` being the first
--        rule of the contract that it breaks, or null, and `__repeat` whether a good row repeats an
--        event: of repeats the lowest (known_on, file, row) is kept. No context column's name
--        begins with an underscore.
-- Inputs: adapted (the profile's adapter over the landing files); earlier (event_id of events that
--         landed on earlier days of the lateness horizon, which bounds deduplication). A row that
--         says no landing day is told with the profile's first day, $undated.
-- Cut-off: nothing at or after the end of $day; nothing older than the lateness horizon.
with checked as (
select *,
       case
         when event_id is null or event_id = '' then 'event_id_missing'
         when ts is null then 'ts_missing'
         when ds is null then 'ds_missing'
         when ts >= ($day + 1)::timestamptz then 'ts_in_future'
         when ts < ($day - $lateness_days)::timestamptz then 'too_late'
         when user_id is null or user_id = '' then 'user_id_missing'
         when item_id is null or item_id = '' then 'item_id_missing'
         when greatest(length(event_id), length(user_id), length(item_id),
                       length(request_id)) > $longest_id then 'id_too_long'
         when domain is null or not list_contains($domains, domain) then 'unknown_domain'
         when event_type is null or event_type not in ('impression', 'click', 'order', 'negative')
           then 'unknown_event_type'
         when value is not null and not (isfinite(value) and value >= 0 and value < 1e15)
           then 'value_invalid'
         when position not between 0 and 2147483647 then 'position_invalid'
{% for name, column in context.items() %}
         when {{ name }} is not null and {{ name }} not in (
           {%- for value in column.values %}{{ value | literal }}{{ ", " if not loop.last }}{% endfor %})
           then 'unknown_{{ name }}'
{% endfor %}
       end as rule
from (
  select ds, file, row::bigint as row, event_id::varchar as event_id, ts::timestamptz as ts,
         user_id::varchar as user_id, item_id::varchar as item_id, domain::varchar as domain,
         event_type::varchar as event_type, request_id::varchar as request_id,
         value::double as value, position::bigint as position
{% for name in context %}         , {{ name }}::varchar as {{ name }}
{% endfor %}
  from adapted
  where coalesce(ds, $undated) = $day
)
)
select *,
       rule is null
       and (row_number() over (partition by event_id, rule is null order by file, row) > 1
            or exists (select 1 from earlier where earlier.event_id = checked.event_id)) as __repeat
from checked
