-- Raw {{ table }} to the log contract, drafted by `exit-pipeline profile init`; it is yours to change.
-- `valid_from` is the moment from which a row's attributes hold.
{% for note in notes %}
-- {{ note }}
{% endfor %}
select
{% for name, sql in columns.items() %}
  {{ sql }} as {{ name }},
{% endfor %}
  file, row
from raw_{{ raw }}
