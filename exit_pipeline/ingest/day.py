"""Takes one landing day of events through the rules of the contract; nothing is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import duckdb

from exit_pipeline.ingest.adapter import make_adapter_view, reading
from exit_pipeline.ingest.contract import LONGEST_ID, check_columns, event_columns
from exit_pipeline.ingest.landing import lands_by_day
from exit_pipeline.lake import Lake, create_table, render
from exit_pipeline.lake.table import DayState
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home


@dataclass(frozen=True)
class IngestReport:
    """What became of the rows of one landing day; `events + duplicates + quarantine = read`.

    `stored` and `quarantined` are counted in the tables, after they were written. `again` says of a
    day that it was not asked for, but follows one whose events it may repeat. `outside` counts what
    is not read: rows of files that do not lie by day, from before the log's first day, told with
    that one, and from after its last, told with that.
    """

    day: date
    read: int
    events: int
    late: int
    duplicates: int
    conflicting: int
    quarantine: dict[str, int]
    quarantined: int
    touched_days: list[date]
    stored: int
    state: DayState
    again: bool = False
    outside: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every row read is accounted for, as the tables hold it."""
        return self.stored + self.duplicates + self.quarantined == self.read

    @property
    def summary(self) -> str:
        """One line: what was read and what became of it."""
        broken = ", ".join(f"{rule} {count}" for rule, count in self.quarantine.items()) or "none"
        outside = f"; {self.outside} rows of days outside the log not read" if self.outside else ""
        return (
            f"{self.read} rows read: {self.events} events ({self.late} late), "
            f"{self.duplicates} duplicates, quarantine: {broken}{outside}"
        )

    def to_metadata(self) -> dict[str, Any]:
        """Returns the counts as JSON-able values."""
        return {
            "read": self.read,
            "late": self.late,
            "duplicates": self.duplicates,
            "conflicting_duplicates": self.conflicting,
            "quarantined": self.quarantined,
            "outside": self.outside,
            "touched_days": [day.isoformat() for day in self.touched_days],
        }


def adapt_day(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    profile: Profile,
    day: date,
    waiting: Collection[date],
    adapted: frozenset[date],
) -> frozenset[date]:
    """Makes the view `adapted` for one day; returns the days whose rows are at hand.

    Files that do not lie by day are looked at once for all days that wait.
    """
    if lands_by_day(profile):
        make_adapter_view(connection, profile, home, "events", day)
        check_columns(connection, event_columns(profile.spec), f"events of {day}")
        return adapted
    if day not in adapted:
        make_adapter_view(connection, profile, home, "events")
        wanted = event_columns(profile.spec)
        check_columns(connection, wanted, "events")
        values = {"days": sorted(waiting), **_ends(profile)}
        columns = [name for name in wanted if name != "ds"]
        with reading("the landing files of the events"):
            create_table(connection, "adapted_days", "adapted_days", values, columns=columns)
        adapted = frozenset(waiting)
    connection.execute("create or replace temp view adapted as from adapted_days")
    return adapted


def judge_day(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, day: date
) -> IngestReport:
    """Makes the tables `kept` and `broken` of the view `adapted`; returns their counts.

    Nothing is stored yet, so the report says so.

    Raises:
        LandingError: A file cannot be read.
    """
    spec = profile.spec
    _check(connection, lake, profile, day)
    for table, sql in (("kept", "events"), ("broken", "quarantine")):
        create_table(connection, table, sql, {"day": day}, context=spec.context)
    report = _report(connection, spec.start, day)
    if lands_by_day(profile):
        return report
    values = {"day": day, **_ends(profile)}
    (outside,) = connection.execute(render("adapted_outside"), values).fetchone()  # type: ignore[misc]
    return replace(report, outside=outside)


def too_broken(profile: Profile, report: IngestReport) -> str | None:
    """Says of a day that more of its rows are broken than the profile lets pass, or None."""
    broken, limit = sum(report.quarantine.values()), profile.spec.landing.broken_share
    if broken <= limit * report.read:
        return None
    rules = ", ".join(f"{rule}: {count}" for rule, count in report.quarantine.items())
    return (
        f"{broken} of {report.read} rows of {report.day} break the contract ({rules}), "
        f"more than the {limit:.2%} that the profile lets pass"
    )


def _check(connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, day: date) -> None:
    """Makes the table `checked`: every row read, with the first rule it breaks."""
    spec = profile.spec
    _view_earlier(connection, lake, spec.landing.lateness_days, day)
    values = {
        "day": day,
        "lateness_days": spec.landing.lateness_days,
        "longest_id": LONGEST_ID,
        "domains": [spec.target, *spec.sources],
        "undated": spec.start,
    }
    with reading(f"the landing files of {day}"):
        create_table(connection, "checked", "events_checked", values, context=spec.context)


def _view_earlier(
    connection: duckdb.DuckDBPyConnection, lake: Lake, lateness_days: int, day: date
) -> None:
    """Makes the view `earlier`: events that a repeat landing on `day` could repeat."""
    first = day - timedelta(days=lateness_days)
    if lake.exists("events"):
        filters = [("known_on", "<", day), ("known_on", ">=", first)]
        lake.view(connection, "events", filters, alias="earlier")
    else:
        connection.execute(f"create or replace temp view earlier as {render('events_none')}")


def _ends(profile: Profile) -> dict[str, date | None]:
    return {"first": profile.spec.start, "last": profile.spec.end}


def _report(connection: duckdb.DuckDBPyConnection, start: date, day: date) -> IngestReport:
    counts = connection.execute(render("repeats"), {"day": day, "undated": start}).fetchone()
    read, duplicates, conflicting = counts  # type: ignore[misc]
    rules = connection.execute("select rule, count(*) from broken group by rule order by rule")
    quarantine = dict(rules.fetchall())
    touched = connection.execute("select ds, count(*) from kept group by ds order by ds").fetchall()
    events = sum(count for _, count in touched)
    return IngestReport(
        day=day,
        read=read,
        events=events,
        late=sum(count for ds, count in touched if ds < day),
        duplicates=duplicates,
        conflicting=conflicting,
        quarantine=quarantine,
        quarantined=0,
        touched_days=[ds for ds, _ in touched],
        stored=0,
        state=DayState(events, ""),
    )
