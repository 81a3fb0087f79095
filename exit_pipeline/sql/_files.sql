-- Grain: one row per row of the given Parquet files, partition columns included; with `numbered`,
--        `__id` is the same for a row whenever the same files are read.
-- A partition's day is told from the file's own folder: DuckDB would take any `key=value` folder
-- above the table for a column.
select *
{%- if numbered is defined and numbered %}, (file_index::bigint << 40) + file_row_number as __id{% endif %}
{%- for column in partitions %},
  ([{% for file in files %}{{ file | hive_value(column) | literal }}{{ "," if not loop.last }}{% endfor -%}
  ]::date[])[file_index::bigint + 1] as {{ column | quoted }}
{%- endfor %}

from read_parquet(
  [{% for file in files %}{{ file | exact | literal }}{{ "," if not loop.last }}{% endfor %}],
  hive_partitioning = false)
