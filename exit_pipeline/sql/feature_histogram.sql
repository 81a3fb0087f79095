-- Grain: day × column × bin, with the rows in it.
-- Inputs: rows, with `ds`. $edges and $words: a list per number and per category.
-- A number's bin is how many of its edges lie at or below it; a category that is not among its
-- words is (other), where it has words. What is missing is a bin, too.
{% for name in numbers %}
select ds, {{ name | literal }} as name,
  coalesce(case when isfinite({{ name | quoted }}::double) then len(list_filter(
    ($edges::double[][])[{{ loop.index }}], lambda e: e <= {{ name | quoted }}::double))::varchar
  end, '(none)') as bin,
  count(*) as rows
from rows group by all
{{ "union all" if not loop.last or categories }}
{% endfor %}
{% for name in categories %}
select ds, {{ name | literal }} as name,
  case when {{ name | quoted }} is null then '(none)'
    when coalesce(list_contains(($words::varchar[][])[{{ loop.index }}],
                                {{ name | quoted }}::varchar), true)
    then {{ name | quoted }}::varchar else '(other)' end as bin,
  count(*) as rows
from rows group by all
{{ "union all" if not loop.last }}
{% endfor %}
order by all
