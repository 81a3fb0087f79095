-- Grain: one row per impression of the person, in any version of the table.
-- Inputs: person (their id); every Parquet file of impressions.
select distinct event_id
from read_parquet(
  [{% for file in files %}{{ file | exact | literal }}{{ "," if not loop.last }}{% endfor %}],
  hive_partitioning = false, union_by_name = true)
where user_id in (from person)
