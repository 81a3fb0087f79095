-- Grain: user × version; a version is what was known before a landing day that changed something,
--        and the last is what was known before $last.
-- Inputs: late_landings.
select user_id, landed as version from late_landings where landed < $last
union
select user_id, $last::date as version from late_landings
