-- Grain: one row per version and attribute row of a user with late rows.
-- Inputs: users, replay_versions.
select u.* exclude (user_id), v.version::varchar || '~' || u.user_id as user_id
from users u join replay_versions v on v.user_id = u.user_id
