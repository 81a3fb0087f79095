-- A list of values in the order of their keys, as Spark collects lists in no order.
transform(
  array_sort(
    collect_list(struct({{ value }} as value{% for key, _ in keys %}, {{ key }} as key{{ loop.index }}{% endfor %})),
    (l, r) -> case
{% for _, falling in keys %}
      when l.key{{ loop.index }} < r.key{{ loop.index }} then {{ 1 if falling else -1 }}
      when l.key{{ loop.index }} > r.key{{ loop.index }} then {{ -1 if falling else 1 }}
{% endfor %}
      else 0 end),
  row -> row.value)
