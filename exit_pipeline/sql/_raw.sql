-- Grain: one row per raw row; `file` (relative to the landing place) and `row` say where it stood.
-- `key=value` folders below the landing place are columns, `ds` a date and the others text; those
-- above it are only names.
select *{{ " exclude (ds)" if own_ds }},
{% for key, told in keys.items() %}
       ([{% for value in told %}{{ value | literal }}{{ "," if not loop.last }}{% endfor -%}
       ]::{{ "date" if key == "ds" else "varchar" }}[])[file_index::bigint + 1] as {{ key | quoted }},
{% endfor %}
       substr(filename, {{ root | length + 1 }}) as file,
       file_row_number as row
from read_parquet(
  [{% for file in files %}{{ file | exact | literal }}{{ "," if not loop.last }}{% endfor %}],
  hive_partitioning = false, union_by_name = true)
