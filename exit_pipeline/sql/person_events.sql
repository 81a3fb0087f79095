-- Grain: one row per impression of the person, in any version of the table.
-- Inputs: person (their id); every Parquet file of impressions, in the folder of its day: an id may
--         come again on another day, after the lateness horizon.
select distinct try_cast(regexp_extract(filename, 'ds=([0-9-]+)', 1) as date) as ds, event_id
from read_parquet(
  [{% for file in files %}{{ file | exact | literal }}{{ "," if not loop.last }}{% endfor %}],
  hive_partitioning = false, union_by_name = true, filename = true)
where user_id in (from person)
