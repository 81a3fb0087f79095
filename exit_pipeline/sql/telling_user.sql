-- Grain: one row: the user whose newest source interest lies most in units that carry over, so that
--        a ranking of theirs has something to explain.
-- Inputs: user_interest, scene_features (their newest days).
with newest as (
  select * from user_interest
  where ds = (select max(ds) from user_interest)
  qualify row_number() over (partition by user_id order by state_us desc) = 1
),
carries as (
  select unit{% for s in sources %}, avg(carries_{{ s }}) as carries_{{ s }}{% endfor %}

  from scene_features
  where ds = (select max(ds) from scene_features)
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
)
select user_id
from shown
group by user_id
order by sum(carried order by carried) desc, user_id
limit 1
