-- Grain: one row per entity row, in the entity table's order.
-- Inputs: entity (numbered by __row), and per view its keys k0, k1, … (feast_keys.sql) and its rows
--         v0, v1, … (feast_coded.sql).
-- Cut-off: the newest feature row whose __order is at or before the entity row's time, and not older
--          than the view's TTL (inclusive, in microseconds); a null key matches nothing.
{% from "_asof.sql" import features_of %}
select {% for column in columns %}e.{{ column | quoted }}{{ ", " if not loop.last }}{% endfor %}
{{ features_of(views) }}
from entity e
{% for view in views %}
left join k{{ view.number }}
  on {% for _, column in view.keys %}k{{ view.number }}.{{ column | quoted }} = e.{{ column | quoted }}{{ " and " if not loop.last }}{% endfor %}

{% endfor %}
{% for view in views %}
asof left join v{{ view.number }}
  on v{{ view.number }}.__code = k{{ view.number }}.__code and e.__until >= v{{ view.number }}.__order
{% endfor %}
order by e.__row
