-- Grain: one row per user, at most $most: the newest changes of interest, most telling first.
-- Inputs: user_interest, the days that are to be looked at.
-- A user tells most where interest in most sources is held; of equals, the one who changed last.
with newest as (
  select *
  from user_interest
  qualify row_number() over (partition by user_id order by event_timestamp desc, created desc) = 1
)
select user_id
from newest
order by
  {% for source in sources %}
  (len({{ (source ~ "_units") | quoted }}) > 0)::int
  {{ "+" if not loop.last else "desc," }}
  {% endfor %}
  event_timestamp desc,
  user_id
limit $most
