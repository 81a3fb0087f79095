-- Grain: one row per event that shows source interest, with the item's unit valid at that moment.
-- Inputs: {{ events }}, items.
-- Cut-off: none here; the windows of source_interest.sql apply it.
select e.user_id, e.domain, e.event_type = 'order' as is_order, e.ts, e.ds, e.known_on, e.event_id,
       {{ "e.item_id" if unit == "item_id" else "i." ~ unit }} as unit
from {{ events }} e
{% if unit != "item_id" %}
join items i
  on i.item_id = e.item_id and i.valid_from <= e.ts and (i.valid_to is null or e.ts < i.valid_to)
{% endif %}
where e.domain <> $target and list_contains($interest_types, e.event_type)
  and {{ "e.item_id" if unit == "item_id" else "i." ~ unit }} is not null
