-- Grain: ds × unit × cell × band: what becomes known on the morning of day ds.
-- Inputs: signed; where a regression expects, its rows with what it expected (expected.sql).
-- Cut-off: that of signed.sql.
-- band: the user's own earlier response to the unit, from cold to warm (ours).
-- n0, c0: exposures without interest in any source, and their outcomes. e1: what was expected of
--         those with interest, in millionths, so that sums are exact (`expectation: regression`).
select effective as ds, unit, cell,
       case when own_responses >= 2 then 4 when own_responses = 1 then 3 when own_shown = 0 then 2
            when own_shown < 5 then 1 else 0 end::tinyint as band,
       sum(sign)::bigint as n,
       sum(sign * y)::bigint as c
{% for s in sources %}
       , sum(sign * ys_{{ s }})::bigint as n1_{{ s }}
       , sum(sign * ys_{{ s }} * y)::bigint as c1_{{ s }}
{% endfor %}
{% if consistency.expectation == "regression" %}
       , coalesce(sum(sign) filter (quiet), 0)::bigint as n0
       , coalesce(sum(sign * y) filter (quiet), 0)::bigint as c0
{% for s in sources %}
       , sum(sign * ys_{{ s }} * expected)::bigint as e1_{{ s }}
{% endfor %}
{% endif %}
from {{ signed }}
group by all
