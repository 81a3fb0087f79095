"""Which days of its inputs a table needs: a day that was never built is not one without rows."""

from __future__ import annotations

from datetime import date, timedelta

from exit_pipeline.errors import LakeError
from exit_pipeline.lake import Lake
from exit_pipeline.lake.table import days_between
from exit_pipeline.profile import ProfileSpec


def first_landed(lake: Lake, spec: ProfileSpec) -> date:
    """Returns the first landing day ingested; the log's first before there is one."""
    return min(lake.days("events"), default=spec.start)


def first_morning(lake: Lake, spec: ProfileSpec) -> date:
    """Returns the first morning on which group sums may know of an exposure.

    The log's first exposures are mature by then, and something had landed the day before.
    """
    known = spec.start + timedelta(days=spec.labels.maturity_days)
    return max(known, first_landed(lake, spec) + timedelta(days=1))


def require_days(lake: Lake, table: str, first: date, last: date, group: str = "labels") -> None:
    """Refuses to build on a table that was not built for all of the days `first`…`last`.

    Read as they are, such days would look like days on which nothing happened. The message names
    the group of assets that builds it.

    Raises:
        LakeError: Names the table and the days.
    """
    stored = lake.days(table)
    missing = [day for day in days_between(first, last) if day not in stored]
    if missing:
        more = f" … {missing[-1]} ({len(missing)} days)" if len(missing) > 1 else ""
        raise LakeError(
            f"{table} of {missing[0]}{more} was not built, and other tables would miss its rows",
            where=str(lake.folder(table)),
            mend=f"`exit-pipeline run --from {missing[0]} --select group:{group}` builds it, and "
            "what hangs on it",
        )
