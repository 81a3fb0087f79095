{# Who was forgotten is told by the salted hash of their id; true where nobody was. #}
{% macro let_in(salt, forgotten) -%}
{% if forgotten -%}
not coalesce(list_contains([
  {%- for one in forgotten %}{{ one | literal }}{{ ", " if not loop.last }}{% endfor -%}
  ], sha256({{ salt | literal }} || user_id::varchar)), false)
{%- else -%}
true
{%- endif %}
{%- endmacro %}
