-- The package dates no attribute: all hold from before the first day.
select product_id::varchar as item_id, coalesce(product_category, 'UNKNOWN') as product_category,
       coalesce(product_type, 'UNKNOWN') as product_type,
       department, brand, timestamptz '2016-12-31 00:00:00+00' as valid_from, file, row
from raw_products
