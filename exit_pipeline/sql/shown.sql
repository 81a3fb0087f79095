-- Grain: one row per impression that the service logged, in the columns of the log contract.
-- Inputs: the log's files of one day. Rows of people who were forgotten are left out.
{% from "_forgotten.sql" import let_in %}
select {% for name in columns %}{{ name }}{{ ", " if not loop.last }}{% endfor %}

from ({{ files }})
where {{ let_in(salt, forgotten) }}
order by ts, event_id
