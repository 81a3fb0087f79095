-- Grain: one row per impression that the service logged, in the columns of the log contract.
-- Inputs: the log's files of one day.
select {% for name in columns %}{{ name }}{{ ", " if not loop.last }}{% endfor %}

from ({{ files }})
order by ts, event_id
