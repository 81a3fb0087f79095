-- Grain: one row: how many entity rows the two joins do not agree on.
select count(*)
from '{{ folder }}/ours.parquet' o full join '{{ folder }}/feast_duckdb.parquet' t using (event_id)
where {% for name in names %}o.{{ name }} is distinct from t.{{ name }}{{ " or " if not loop.last }}{% endfor %}
