-- Grain: one row per row of the given Parquet files, partition columns included.
select * from read_parquet(
  [{% for file in files %}{{ file | literal }}{{ "," if not loop.last }}{% endfor %}],
  hive_partitioning = {{ "true" if partitions else "false" }}
{%- if partitions %}, hive_types_autocast = false,
  hive_types = { {%- for column in partitions %}'{{ column }}': date{{ "," if not loop.last }}{% endfor -%} }
{%- endif %})
