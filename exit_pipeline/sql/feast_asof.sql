-- Grain: one row per entity row, in the entity table's order.
-- Inputs: entity (numbered by __row), and per view a table v0, v1, … (feast_view.sql).
-- Cut-off: the newest feature row with v.available <= the entity row's time, and not older than the
--          view's TTL (inclusive, in microseconds); a null key matches nothing.
select {% for column in columns %}e.{{ column | quoted }}{{ ", " if not loop.last }}{% endfor %}
{% for view in views %}
{% for feature in view.features %}
       , case when {{ view.fresh }} then v{{ view.number }}.{{ feature | quoted }} end as {{ feature | quoted }}
{% endfor %}
{% endfor %}
from entity e
{% for view in views %}
asof left join v{{ view.number }}
  on {% for key, column in view.keys %}v{{ view.number }}.{{ key | quoted }} = e.{{ column | quoted }} and {% endfor %}e.__at >= v{{ view.number }}.__available
{% endfor %}
order by e.__row
