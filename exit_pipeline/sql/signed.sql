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
{% for edge, sign in (("valid_from", 1), ("valid_to", -1)) %}
  union all by name
  select {{ edge }} as effective, {{ sign }} as sign, ds, unit, cell, y, own_shown, own_responses
{% for s in sources %}         , ys_{{ s }}
{% endfor %}
  from versions
{% endfor %}
)
select *, greatest(0{% for s in sources %}, ys_{{ s }}{% endfor %}) = 0 as quiet
from rows
where effective between $first and $last and unit is not null
