-- Grain: one row per entity row, each with its columns and the features of all views.
-- Inputs: the entity rows' query; per view the query of its rows (feast_view.sql).
-- Cut-off: as of feast_asof.sql, whose join this is in one query, for engines that sort what they
--          need themselves: keys are not numbered, and rows come in any order.
{% from "_asof.sql" import features_of, until %}
with entity as (
  select *, event_timestamp as __at, {{ until("event_timestamp", sum_bits) }} as __until
  from ({{ entity_rows }}) r
)
select e.* exclude (__at, __until)
{{ features_of(views) }}
from entity e
{% for view in views %}
asof left join ({{ view.rows("select * from " ~ view.name, sum_bits) }}) v{{ view.number }}
  on {% for key, column in view.keys %}v{{ view.number }}.{{ key | quoted }} = e.{{ column | quoted }} and {% endfor %}v{{ view.number }}.__order <= e.__until
{% endfor %}
