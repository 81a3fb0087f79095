-- Grain: one row per user and moment: 500,000 rows of four features.
select 'u' || (hash(i, {{ view }}, 3) % 100000) as user_id,
       make_timestamptz(1767571200000000 + (hash(i, {{ view }}, 4) % 1728000000000::ubigint)::bigint) as event_timestamp,
       make_timestamptz(1767571200000000 + i) as created,
{% for n in range(4) %}       (hash(i, {{ view }}, {{ n }}, 5) % 1000) / 10 as f{{ view }}_{{ n }},
{% endfor %}
from range(500000) t(i)
