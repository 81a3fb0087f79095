-- The right side of an ASOF join in Spark: each row with the time of the one that follows it.
select *, lead({{ time }}) over (partition by {{ keys | join(", ") }} order by {{ time }}) as followed_at
from ({{ rows }})
