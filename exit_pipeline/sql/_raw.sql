-- Grain: one row per raw row; `file` (relative to the landing place) and `row` say where it stood.
select * exclude (filename, file_row_number),
       replace(filename, {{ root | literal }}, '') as file,
       file_row_number as row
from read_parquet(
  [{% for file in files %}{{ file | literal }}{{ "," if not loop.last }}{% endfor %}],
  hive_partitioning = true, union_by_name = true, filename = true, file_row_number = true)
