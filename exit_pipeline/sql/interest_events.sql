-- Grain: one row per event that shows interest, in a source or (a response) in the target.
-- Inputs: events, items (the unit is the one valid at that moment).
select e.event_id, e.user_id, e.domain, e.ts, e.ds, e.known_on,
       {{ "e.item_id" if unit == "item_id" else "i." ~ unit }} as unit
from events e
{% if unit != "item_id" %}
join items i
  on i.item_id = e.item_id and i.valid_from <= e.ts and (i.valid_to is null or e.ts < i.valid_to)
{% endif %}
where {{ "e.item_id" if unit == "item_id" else "i." ~ unit }} is not null
  and case when e.domain = $target then e.event_type in ('click', 'order')
           else list_contains($interest_types, e.event_type) end
