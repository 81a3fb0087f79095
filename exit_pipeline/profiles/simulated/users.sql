select user_id, segment, age_band, valid_from, file, row
from raw_users
