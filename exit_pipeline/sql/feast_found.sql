-- Grain: one row per row that was matched (feast_matched.sql), with its features.
-- Inputs: m0, m1, … of feast_matched.sql; the view's source, its rows numbered as they were there.
-- Cut-off: none but that of feast_coded.sql, which every matched row has passed, so that no more
--          history is read here, either. That a row is still of its time tells a file that was
--          replaced meanwhile.
{% from "_asof.sql" import within %}
{% set time = "s." ~ (view.reads.timestamp | quoted) ~ "::timestamptz" %}
select m.__row
{%- for feature, column in view.reads.features.items() %}, s.{{ column | quoted }} as {{ feature | quoted }}{% endfor %}

from m{{ view.number }} m
join ({{ view.numbered }}) s
  on s.__id = m.__id and {{ time }} = m.__ts
where {{ within(time, since, until) }}
