-- Grain: one row per entity row, in the entity table's order.
-- Inputs: entity (numbered by __row), and per view the features that were found, f0, f1, …
--         (feast_found.sql).
-- Cut-off: that of feast_matched.sql.
select {% for column in columns %}e.{{ column | quoted }}{{ ", " if not loop.last }}{% endfor %}
{% for view in views %}{% for feature in view.features %}
       , f{{ view.number }}.{{ feature | quoted }}
{%- endfor %}{% endfor %}

from entity e
{% for view in views %}
left join f{{ view.number }} on f{{ view.number }}.__row = e.__row
{% endfor %}
order by e.__row
