"""Tries adapters and rules on what has landed, before anything is ingested."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from exit_pipeline.errors import LandingError
from exit_pipeline.ingest.adapter import make_adapter_view, reading
from exit_pipeline.ingest.attributes import adapt_attributes
from exit_pipeline.ingest.contract import check_columns, event_columns
from exit_pipeline.ingest.day import IngestReport, adapt_day, judge_day, too_broken
from exit_pipeline.ingest.landing import landed_days, landing_root, lands_by_day
from exit_pipeline.lake import Lake, render
from exit_pipeline.profile import Profile


@dataclass(frozen=True)
class Trial:
    """What adapters and rules say of what has landed.

    Args:
        days: The landing days whose columns were looked at, oldest first.
        report: What would become of the newest day's rows.
        versions: Rows of `items` and `users`.
        refusal: Why ingestion would refuse the newest day; None where it would not.
    """

    days: list[date]
    report: IngestReport
    versions: dict[str, int]
    refusal: str | None

    def to_dict(self) -> dict[str, Any]:
        """What `exit-pipeline profile check --data --json` shows."""
        told = self.report
        return {
            "days": [day.isoformat() for day in self.days],
            "day": told.day.isoformat(),
            "read": told.read,
            "good": told.events,
            "late": told.late,
            "duplicates": told.duplicates,
            "outside": told.outside,
            "quarantine": told.quarantine,
            "refusal": self.refusal,
            **self.versions,
        }


def try_landing(connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile) -> Trial:
    """Runs each adapter, checks its columns, and judges the newest day; writes nothing.

    Of files that lie by day, those of every day are looked at, as a day may have its own columns.

    Raises:
        LandingError: Files are missing or unreadable, or none is of a day of the log.
        ContractError: An adapter does not run, or columns, types or attributes are wrong.
    """
    days = _days(connection, lake, profile)
    for day in days:
        adapt_day(connection, lake.home, profile, day, [day], frozenset())
    report = judge_day(connection, lake, profile, days[-1])
    versions = {}
    for table in ("items", "users"):
        adapt_attributes(connection, lake.home, profile, table)
        (versions[table],) = connection.execute("select count(*) from kept").fetchone()  # type: ignore[misc]
    return Trial(days, report, versions, too_broken(profile, report))


def _days(connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile) -> list[date]:
    """Returns the days of the log that have landed; of files that do not lie by day, the newest."""
    first, last = profile.spec.start, profile.spec.end or date.max
    landed = landed_days(profile, lake.home)
    if not landed:
        make_adapter_view(connection, profile, lake.home, "events")
    if not lands_by_day(profile):
        check_columns(connection, event_columns(profile.spec), "events")
        with reading("the landing files of the events"):
            found = connection.execute(render("adapted_newest"), {"first": first, "last": last})
            landed = [day for (day,) in found.fetchall() if day is not None]
    days = [day for day in landed if first <= day <= last]
    if not days:
        raise LandingError(
            "nothing has landed for a day of this log",
            where=f"{landing_root(profile, lake.home)}, {first} … {profile.spec.end or 'open'}",
            mend="land a day, or mend the profile's `start` and `end`",
        )
    return days
