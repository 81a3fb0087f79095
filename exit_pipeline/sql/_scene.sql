{# Expressions over one event's columns: bands of time, the scene and the group's cell. #}
{% macro hour_band(scene) -%}
case
{%- for name, hour in (scene.hour_bands.items() | list | reverse) %}
 when hour(ts at time zone {{ scene.timezone | literal }}) >= {{ hour }} then {{ name | literal }}
{%- endfor %} end
{%- endmacro %}
{% macro day_kind(scene) -%}
case when isodow(ts at time zone {{ scene.timezone | literal }}) >= 6 then 'weekend' else 'weekday' end
{%- endmacro %}
{# Of no columns it is '': everyone is in one group. #}
{% macro composite(columns) -%}
concat_ws('|'
{%- for name in columns %}, coalesce(replace({{ name }}, '|', '/'), 'unknown'){% else %}, ''{% endfor %})
{%- endmacro %}
