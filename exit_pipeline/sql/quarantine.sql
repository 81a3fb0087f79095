-- Grain: one row per raw row of landing day $day that breaks a rule; nothing is dropped in silence.
-- Inputs: checked (events_checked.sql).
select $day as known_on, rule, file, row,
       to_json(struct_pack(event_id, ts := ts::varchar, user_id, item_id, domain, event_type,
                           request_id, value := value::varchar, position
{% for name in context %}                           , {{ name }}
{% endfor %}
       ))::varchar as raw
from checked
where rule is not null
