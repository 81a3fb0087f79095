{# What the regression knows of an exposure: its group's log odds, the user's own response to the unit
   against that rate, smoothed by 20 exposures, and how often the unit was shown to the user (ours). #}
{% macro description() -%}
rate / 10.0 as group_odds,
       ln(20 + own_responses * (1 + exp(-rate / 10.0))) - ln(20 + own_shown) as own_lift,
       ln(1 + own_shown) as familiar
{%- endmacro %}
