-- Grain: one row per entity row, numbered in the table's order, with its time and what is available
--        by then (see `__order` of feast_view.sql).
-- Inputs: the entity table's query.
{% from "_asof.sql" import until %}
select *, row_number() over () as __row, {{ time | quoted }}::timestamptz as __at,
       {{ until("__at", sum_bits) }} as __until
from (
{{ query }}
)
