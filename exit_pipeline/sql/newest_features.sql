-- Grain: one row: the moment from which the newest snapshot holds.
-- Inputs: item_features.
select max(event_timestamp) from item_features
