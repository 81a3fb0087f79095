-- Grain: one row per row that the adapter returned for some landing days; one that says no day is
--        told with the profile's first day, $undated.
-- Inputs: adapted (the profile's adapter over raw files that do not lie by day).
select * from adapted where list_contains($days, coalesce(ds, $undated))
