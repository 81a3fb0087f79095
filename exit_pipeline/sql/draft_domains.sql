-- Grain: domain × event type, as the draft reads them in one raw table of events.
-- Inputs: looked_at (a sample of the raw table).
select {{ domain }} as domain, {{ kind }} as kind, count(*) as n
from looked_at
where {{ domain }} is not null and {{ kind }} is not null
{% if left_out %}  and not {{ left_out }}
{% endif %}
group by all
order by n desc, domain, kind
limit 1000
