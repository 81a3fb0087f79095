-- Grain: as the pipeline's own views have it: a row per user and day (view 0), per item and day
--        (view 1), and per change of a user's interest, 50 of each in 30 days (view 2).
{% set key, keys, changes = [("user_id", 100000, 30), ("item_id", 20000, 30), ("user_id", 100000, 50)][view] %}
select '{{ key[0] }}' || k as {{ key }}, moment as event_timestamp, moment as created,
{% for n in range(4) %}       (hash(k, i, {{ view }}, {{ n }}, 5) % 1000) / 10 as f{{ view }}_{{ n }},
{% endfor %}
from (
  select k, i, make_timestamptz(1767571200000000 +
{% if view < 2 %}
           i * 86400000000 + 300000000) as moment
{% else %}
           (hash(k, i, 6) % 2592000000000::ubigint)::bigint) as moment
{% endif %}
  from range({{ keys }}) keys(k), range({{ changes }}) changes(i)
)
