-- Grain: one row per row of a part of the split; in training also one per impression of a source,
--        or of those with an outcome alone where they are relabelled as the target's.
-- Inputs: files of the part; the sources' rows, which have no label of transfer: theirs are 0.
select * replace (
{% for name in labels %}
  coalesce({{ name }}, 0) as {{ name }}{{ "," if not loop.last }}
{% endfor %}
)
from (
  select *, $target as domain from ({{ rows }})
{% if sources %}
  union all by name
  select * from ({{ sources }})
{% if kind == "relabelled" %}
  where y = 1
{% endif %}
{% endif %}
)
order by event_timestamp, event_id
