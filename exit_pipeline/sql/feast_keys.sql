-- Grain: one row per key of a view that the entity rows name, with a number for it: numbers sort
--        faster than text, and rows of keys that nobody asks for never reach the join.
-- Inputs: entity.
select *, (row_number() over ())::integer as __code
from (
  select distinct {% for _, column in view.keys %}{{ column | quoted }}{{ ", " if not loop.last }}{% endfor %}

  from entity
  where {% for _, column in view.keys %}{{ column | quoted }} is not null{{ " and " if not loop.last }}{% endfor %}

)
