-- Grain: one row per row of one part of the split, with the columns that training reads.
-- Inputs: files of the training set. Neither the files' order nor threads change the order of rows.
-- Graded interest (ours): 0 without any from t on, else 1 − 2^−(1 + d), d the decayed count as of t.
select {% for column in columns %}{{ column | quoted }}{{ ", " if not loop.last }}{% endfor %}

{% for s in graded %}
       , ahead_{{ s }} * (1 - pow(2, -1 - {{ s }}_decayed)) as graded_{{ s }}
{% endfor %}
from ({{ rows }})
order by event_timestamp, event_id
