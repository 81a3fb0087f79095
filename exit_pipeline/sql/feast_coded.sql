-- Grain: one row of a view (feast_view.sql) per key that the entity rows name.
-- Inputs: the view's query; its keys (feast_keys.sql).
select k.__code, s.__ts, s.__order
{% for feature in view.features %}       , s.{{ feature | quoted }}
{% endfor %}
from ({{ view.sql }}) s
join k{{ view.number }} k
  on {% for key, column in view.keys %}s.{{ key | quoted }} = k.{{ column | quoted }}{{ " and " if not loop.last }}{% endfor %}

