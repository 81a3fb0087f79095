{# Attributes as the newest daily snapshot has them that is available at a moment: valid at the end
   of its day, as item_features.sql and user_features.sql say. #}
{% macro as_snapshot(table, alias, key, row, moment, lag_us) -%}
left join ({{ table }}) {{ alias }}
  on {{ alias }}.{{ key }} = {{ row }}.{{ key }}
 and {{ alias }}.valid_from < {{ day_begun(moment, lag_us) }}
 and ({{ alias }}.valid_to is null or {{ day_begun(moment, lag_us) }} <= {{ alias }}.valid_to)
{%- endmacro %}
{% macro day_begun(moment, lag_us) -%}
make_timestamptz(epoch_us({{ moment }}) - {{ lag_us }})::date::timestamptz
{%- endmacro %}
