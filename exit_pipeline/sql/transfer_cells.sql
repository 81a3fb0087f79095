-- Grain: one row per source, interest unit and group cell with evaluation rows whose y_s = 1, and
--        one over all cells, over all units, and over both (null stands for all).
-- Inputs: scored: evaluation rows with `learned_SOURCE`, what the model says transfers, and what the
--         policy says: `effect_SOURCE`, empty where the source is free, and `rule_SOURCE`.
{% for s in sources %}
{{ "union all" if not loop.first }}
select {{ s | literal }} as source, unit, cell, count(*) as rows,
       avg(learned_{{ s }}) as learned, avg(consistent_{{ s }}) as label,
       count(*) filter (where effect_{{ s }} <> '') as governed,
       list_sort(coalesce(list(distinct effect_{{ s }}) filter (where effect_{{ s }} <> ''), [])) as effects,
       list_sort(coalesce(list(distinct rule_{{ s }}) filter (where effect_{{ s }} <> ''), [])) as rules
from (select * replace (coalesce(nullif(unit::varchar, ''), 'unknown') as unit) from scored)
where ys_{{ s }} = 1
group by grouping sets ((unit, cell), (unit), (cell), ())
having count(*) > 0
{% endfor %}
order by source, unit nulls first, cell nulls first
