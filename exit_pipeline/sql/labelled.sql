-- Grain: one row per exposure of users without late rows, of the days $first … $last.
-- Inputs: impressions, source_interest, late_landings.
select i.ds, i.unit, i.cell, i.y, s.own_shown, s.own_responses
{% for name in sources %}       , s.ys_{{ name }}
{% endfor %}
from impressions i
join source_interest s on s.ds = i.ds and s.event_id = i.event_id
where i.ds between $first and $last
  and not exists (select 1 from late_landings l where l.user_id = i.user_id)
