-- Grain: one row per raw row that is looked at: of a large table a fixed sample of its blocks.
-- Inputs: the given Parquet files; folders named `key=value` are columns.
select * from read_parquet(
  [{% for file in files %}{{ file | exact | literal }}{{ "," if not loop.last }}{% endfor %}],
  hive_partitioning = true, union_by_name = true)
{% if percent < 100 %}
using sample {{ percent }} percent (system, 7)
{% endif %}
