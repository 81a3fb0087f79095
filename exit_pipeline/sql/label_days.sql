-- Grain: one row per landing day of the adapted events.
select distinct ds from adapted where ds is not null order by ds
