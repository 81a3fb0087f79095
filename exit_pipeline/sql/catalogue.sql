-- Grain: one row per item known at the newest day.
-- Inputs: item_features.
select item_id from item_features where ds = (select max(ds) from item_features) order by item_id
