-- Grain: one row per entity row that a view knows something of: which of the view's rows that is.
--        The join sorts what it needs to find a row; features are read behind it (feast_found.sql).
-- Inputs: entity (feast_entity.sql); the view's keys k0, k1, … (feast_keys.sql) and rows v0, v1, …
--         (feast_coded.sql).
-- Cut-off: the newest feature row whose __order is at or before the entity row's time, and not older
--          than the view's TTL (inclusive, in microseconds); a null key matches nothing.
select e.__row, v{{ view.number }}.__id, v{{ view.number }}.__ts
from (
  select e.__row, e.__at, e.__until, k.__code
  from entity e
  join k{{ view.number }} k
    on {% for _, column in view.keys %}k.{{ column | quoted }} = e.{{ column | quoted }}{{ " and " if not loop.last }}{% endfor %}

) e
asof join v{{ view.number }}
  on v{{ view.number }}.__code = e.__code and e.__until >= v{{ view.number }}.__order
where {{ view.fresh }}
