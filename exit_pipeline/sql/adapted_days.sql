-- Grain: one row per row that the adapter returned for some landing days; one that says no day is
--        told with the profile's first day, $first. Of rows beyond the log's days, $first … $last,
--        the day alone, which is all that is told of them: a second look may take as long as this.
-- Inputs: adapted (the profile's adapter over raw files that do not lie by day). A log that goes on
--         has no last day.
select ds
{% for name in columns %}
       , case when __read then {{ name | quoted }} end as {{ name | quoted }}
{% endfor %}
from (select *, list_contains($days, coalesce(ds, $first)) as __read from adapted)
where __read or ds < $first or ds > $last
