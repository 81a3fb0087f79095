-- Grain: one row per version and event then known, as if each version were a log of its own: users
--        and events carry the version in front of their ids.
-- Inputs: {{ events }}, replay_versions.
-- Cut-off: known_on < version.
select e.* exclude (user_id, event_id),
       v.version::varchar || '~' || e.user_id as user_id,
       v.version::varchar || '~' || e.event_id as event_id
from {{ events }} e
join replay_versions v
  on v.user_id = e.user_id and e.known_on < v.version
 and (v.version = $last or e.ds >= v.version - $reach_days::integer)
