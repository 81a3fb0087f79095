-- Grain: one row per given file that holds rows of the person.
-- Inputs: Parquet files of one table, of any of its versions; person (their id); their_events.
select distinct filename
from (
  select *, try_cast(regexp_extract(filename, 'ds=([0-9-]+)', 1) as date) as ds
  from read_parquet(
    [{% for file in files %}{{ file | exact | literal }}{{ "," if not loop.last }}{% endfor %}],
    hive_partitioning = false, union_by_name = true, filename = true)
)
where {{ theirs }}
