-- Grain: one row per event: the good rows of landing day $day that are no repeats.
-- Inputs: checked (events_checked.sql).
-- Cut-off: landing day $day.
select $day as known_on,
       ts::date as ds,
       event_id, ts, user_id, item_id, domain, event_type, request_id,
       round(value * 100)::bigint as value,  -- whole cents, so that sums are exact
       position::integer as position
{% for name in context %}       , {{ name }}
{% endfor %}
from checked
where rule is null and not __repeat
