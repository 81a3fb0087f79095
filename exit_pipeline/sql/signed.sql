-- Grain: one row per exposure that became known on the morning of day `effective`, sign 1, and one
--        per state of it that a late row took back from that day on, sign −1.
-- Inputs: labelled (impressions ⋈ source_interest of users without late rows, exposure days
--         $first − maturity … $last − maturity); versions (late_versions.sql: each state that an
--         exposure of a user with late rows was ever in, with the days it holds).
-- Cut-off: an exposure enters on `mature_on`; a late row changes sums only after its `known_on`.
with rows as (
  select ds + $maturity_days::integer as effective, 1 as sign, ds, unit, cell, y,
         own_shown, own_responses
{% for s in sources %}         , ys_{{ s }}
{% endfor %}
  from labelled
  union all by name
  select unnest([valid_from, valid_to]) as effective, unnest([1, -1]) as sign, ds, unit, cell, y,
         own_shown, own_responses
{% for s in sources %}         , ys_{{ s }}
{% endfor %}
  from versions
)
select *, greatest({% for s in sources %}{{ ", " if not loop.first }}ys_{{ s }}{% endfor %}) = 0 as quiet
from rows
where effective between $first and $last and unit is not null
