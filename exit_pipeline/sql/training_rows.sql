-- Grain: one row per row of one part of the split, with the columns that training reads.
-- Inputs: files of the training set. Neither the files' order nor threads change the order of rows.
select {% for column in columns %}{{ column | quoted }}{{ ", " if not loop.last }}{% endfor %}

from ({{ rows }})
order by event_timestamp, event_id
