-- Grain: one row per input of a sampled row that is not what the point-in-time join says.
-- Inputs: samples (as served), joined (as of the same time, offline), both with `row`.
-- Rule: numbers may differ by 1e-9 of the larger, since both sides add and decay in floating point.
{% for name in texts + numbers %}
select s.row, s.request_id, s.ts, s.user_id, s.item_id, s.model_version, s.items_as_of,
       '{{ name }}' as feature, s.{{ name }}::varchar as served, j.{{ name }}::varchar as offline
from samples s
left join joined j using (row)
where s.{{ name }} is distinct from j.{{ name }}
{% if name in numbers %}
  and not coalesce(abs(s.{{ name }} - j.{{ name }})
                   <= 1e-9 * greatest(abs(s.{{ name }}), abs(j.{{ name }})), false)
{% endif %}
{{ "union all" if not loop.last }}
{% endfor %}
order by row, feature
