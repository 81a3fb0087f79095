-- Grain: one feature of one entity in sqlite's online table.
-- The sum keeps sqlite from reading the microseconds as a time in whole seconds.
select entity_key, feature_name, value, event_ts + 0
from {{ table | quoted }}
where entity_key in ({% for _ in range(keys) %}?{{ ", " if not loop.last }}{% endfor %})
