-- Grain: one row of a view (feast_view.sql) per key that the entity rows name: which row is from
--        when, without its features.
-- Inputs: the view's source; its keys (feast_keys.sql).
-- Cut-off: none that the join would not make: a row after the last entity row matches none, and one
--          older than the TTL before the first would be null. So no more history is read than counts.
{% from "_asof.sql" import within %}
select k.__code, s.__ts, s.__order, s.__id
from ({{ view.moments }}) s
join k{{ view.number }} k
  on {% for key, column in view.keys %}s.{{ key | quoted }} = k.{{ column | quoted }}{{ " and " if not loop.last }}{% endfor %}

where {{ within("s.__ts", since, until) }}
