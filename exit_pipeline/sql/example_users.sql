-- Grain: one row per user, at most $most: whose newest source interest lies most in units that carry
--        over, so that a ranking of theirs has something to explain; of equals, who changed last.
-- Inputs: user_interest, scene_features (of their newest days).
with newest as (
  select *
  from user_interest
  qualify row_number() over (partition by user_id order by state_us desc) = 1
),
carries as (
  select unit{% for s in sources %}, avg(carries_{{ s }}) as carries_{{ s }}{% endfor %}

  from scene_features
  group by unit
),
shown as (
{% for s in sources %}
  select user_id, weight * pow(2.0, age_us / -$half_life_us::double) * c.carries_{{ s }} as carried
  from (select user_id, state_us - {{ s }}_state_us as age_us,
               unnest({{ s }}_units) as unit, unnest({{ s }}_weights) as weight from newest)
  join carries c using (unit)
{% if not loop.last %}
  union all
{% endif %}
{% endfor %}
),
told as (select user_id, sum(carried order by carried) as carried from shown group by user_id)
select user_id
from newest left join told using (user_id)
order by coalesce(carried, 0) desc, state_us desc, user_id
limit $most
