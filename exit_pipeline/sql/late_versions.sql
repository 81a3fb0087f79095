-- Grain: one row per state that an exposure of a user with late rows was in, and the effective
--        days [valid_from, valid_to) for which group sums see it so.
-- Inputs: replayed_impressions, replayed_interest (the label rules run over the replayed log),
--         late_landings.
-- Rule: a late row may move labels of exposures up to lateness + horizon days before it landed.
with states as (
  select i.event_id, left(i.event_id, 10)::date as version, substr(i.user_id, 12) as user_id,
         i.ds, i.unit, i.cell, i.y, s.own_shown, s.own_responses
{% for name in sources %}         , s.ys_{{ name }}
{% endfor %}
  from replayed_impressions i join replayed_interest s using (ds, event_id)
),
kept as (
  select *
  from states
  where version = $last
     or (version > ds + $maturity_days::integer - 1 and version <= ds + $moved_days::integer)
),
before as (
  select k.ds, k.event_id, max(l.landed) as landed
  from kept k
  join late_landings l
    on l.user_id = k.user_id and l.landed < k.version
   and l.landed > k.ds + $maturity_days::integer - 1 and l.landed <= k.ds + $moved_days::integer
  group by k.ds, k.event_id
)
select k.* exclude (event_id, version, user_id),
       coalesce(b.landed, k.ds + $maturity_days::integer - 1) + 1 as valid_from,
       case when k.version < $last then k.version + 1 end as valid_to
from kept k left join before b using (ds, event_id)
