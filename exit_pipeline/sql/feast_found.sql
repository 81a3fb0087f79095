-- Grain: one row per row that was matched (feast_matched.sql), with its features.
-- Inputs: m0, m1, … of feast_matched.sql; the view's source, its rows numbered as they were there.
-- Cut-off: none here.
select m.__row
{%- for feature, column in view.reads.features.items() %}, s.{{ column | quoted }} as {{ feature | quoted }}{% endfor %}

from m{{ view.number }} m
join ({{ view.numbered }}) s on s.__id = m.__id
