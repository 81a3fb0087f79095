{# What the forms of the point-in-time join share: how rows are ordered, and what they give. #}
{% set two_64 = "18446744073709551616" %}
{% macro wide(sum_bits) -%}
{{ "hugeint" if sum_bits == 128 else "decimal(38, 0)" }}
{%- endmacro %}
{# Moments in microseconds, with room for the moment of creation behind each. #}
{% macro moment(time, sum_bits) -%}
epoch_us({{ time }})::{{ wide(sum_bits) }} * {{ two_64 }}::{{ wide(sum_bits) }}
{%- endmacro %}
{# The greatest `__order` (feast_view.sql) of a row that is available by a time. #}
{% macro until(time, sum_bits) -%}
(epoch_us({{ time }})::{{ wide(sum_bits) }} + 1) * {{ two_64 }}::{{ wide(sum_bits) }} - 1
{%- endmacro %}
{# That a time lies within a span in microseconds, which may be open at either end. #}
{% macro within(time, first, last) -%}
true
{%- if last is not none %} and {{ time }} <= make_timestamptz({{ last }}){% endif %}
{%- if first is not none %} and {{ time }} >= make_timestamptz({{ first }}){% endif %}
{%- endmacro %}
{# Of each view the features of the row that was matched, null where it is too old. #}
{% macro features_of(views) -%}
{% for view in views %}
{% for feature in view.features %}
       , case when {{ view.fresh }} then v{{ view.number }}.{{ feature | quoted }} end as {{ feature | quoted }}
{% endfor %}
{% endfor %}
{%- endmacro %}
