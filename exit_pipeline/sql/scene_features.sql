-- Grain: ds × unit × cell: rates and lift of a group at the end of day ds (a Feast view).
-- Inputs: group_consistency (of $first + 1 … $last + 1: what is known on the next morning).
-- Cut-off: exposures mature by then; `event_timestamp` is the exclusive end of day ds plus the
--          availability lag.
select ds - 1 as ds, unit, cell
       , n as group_shown
       , (c + 1) / (n + 20) as group_rate
{% for s in sources %}
       , support_{{ s }}, lift_{{ s }}, consistent_{{ s }} as carries_{{ s }}
{% endfor %}
       , make_timestamptz(epoch_us(ds::timestamptz) + $lag_us) as event_timestamp
       , make_timestamptz(epoch_us(ds::timestamptz) + $lag_us) as created
from group_consistency
where ds between $first + 1 and $last + 1
