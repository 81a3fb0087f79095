-- Grain: one row per training row kept: ids whose hash falls into the first $share of all hashes,
--        so that a smaller share is part of a larger one.
-- Inputs: files of the training part.
-- Cut-off: where a column is held out, rows of $value count from $since on.
select *
from ({{ rows }})
where md5_number_lower(event_id) < $share * 18446744073709551616.0
{% if column %}
  and ({{ column | quoted }} is distinct from $value or event_timestamp >= $since)
{% endif %}
order by event_timestamp, event_id
