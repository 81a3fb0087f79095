-- Grain: one row per entity row, each with its columns and the features of all views.
-- Inputs: the entity rows' query; per view the query of its rows (feast_view.sql).
-- Cut-off: as of feast_asof.sql, whose join this is in one query, for engines that sort what they
--          need themselves: keys are not numbered, and rows come in any order.
{% set wide = "hugeint" if sum_bits == 128 else "decimal(38, 0)" %}
with entity as (
  select *, event_timestamp as __at,
         (epoch_us(event_timestamp)::{{ wide }} + 1) * 18446744073709551616::{{ wide }} - 1 as __until
  from ({{ entity_rows }}) r
)
select e.* exclude (__at, __until)
{% for view in views %}
{% for feature in view.features %}
       , case when {{ view.fresh }} then v{{ view.number }}.{{ feature | quoted }} end as {{ feature | quoted }}
{% endfor %}
{% endfor %}
from entity e
{% for view in views %}
asof left join ({{ view.rows("select * from " ~ view.name, sum_bits) }}) v{{ view.number }}
  on {% for key, column in view.keys %}v{{ view.number }}.{{ key | quoted }} = e.{{ column | quoted }} and {% endfor %}v{{ view.number }}.__order <= e.__until
{% endfor %}
