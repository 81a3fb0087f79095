-- Grain: one row per sampled row of a ranking: what the training set would ask the views for.
-- Inputs: samples (with `row`), items, users.
-- Cut-off: attributes are those valid at the request's time, as for an exposure (impressions.sql).
{% from "_scene.sql" import composite %}
select s.row, s.user_id, s.item_id, s.event_timestamp,
       {{ "s.item_id" if unit == "item_id" else "i." ~ unit }} as unit,
       {{ composite(group) }} as cell
{% for name in context_columns %}       , s.{{ name }}
{% endfor %}
from (
  select row, user_id, item_id, ts as event_timestamp
{% for name in context_columns %}         , {{ name }}
{% endfor %}
  from samples
) s
left join items i
  on i.item_id = s.item_id and i.valid_from <= s.event_timestamp
 and (i.valid_to is null or s.event_timestamp < i.valid_to)
left join users u
  on u.user_id = s.user_id and u.valid_from <= s.event_timestamp
 and (u.valid_to is null or s.event_timestamp < u.valid_to)
