-- Grain: one row per row of a raw file that is the person's: where it stands in the file.
-- Inputs: the file; $user, their id, which is the text of the column as ingestion reads it. Whole
--         numbers that were kept as floating ones are told without their `.0`, too: an adapter may
--         have made them whole again.
select file_row_number
from read_parquet({{ file | exact | literal }}, hive_partitioning = false, file_row_number = true)
where user_id::varchar = $user
   or (typeof(user_id) in ('FLOAT', 'DOUBLE') and user_id::varchar = $user || '.0')
