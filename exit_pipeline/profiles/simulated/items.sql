select item_id, category, brand, price, valid_from, file, row
from raw_items
