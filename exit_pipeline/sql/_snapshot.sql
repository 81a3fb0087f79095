{# Unit and cell by which a row's group and interest are found: by the attributes that serving would
   have had at its time, those of the newest daily snapshots. `row` is the row's alias; the joins add
   `k` and `u`. #}
{% from "_scene.sql" import composite %}
{% macro unit_of(known, row) -%}
{% if known.unit == "item_id" %}{{ row }}.item_id{% else %}k.unit{% endif %}
{%- endmacro %}
{% macro cell_of(known) -%}
{{ composite(known.group) }}
{%- endmacro %}
{% macro snapshots(known, row) -%}
{% if known.unit != "item_id" %}
asof left join (select item_id, {{ known.unit }} as unit, event_timestamp as since from ({{ known.item_rows }}) q) k
  on k.item_id = {{ row }}.item_id and k.since <= {{ row }}.event_timestamp
{% endif %}
{% if known.of_users %}
asof left join (select user_id, {{ known.of_users | join(", ") }}, event_timestamp as since from ({{ known.user_rows }}) q) u
  on u.user_id = {{ row }}.user_id and u.since <= {{ row }}.event_timestamp
{% endif %}
{%- endmacro %}
