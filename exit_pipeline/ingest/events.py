"""Ingests one landing day of events: contract, deduplication, late rows, quarantine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import duckdb

from exit_pipeline.errors import ContractError
from exit_pipeline.ingest.contract import LONGEST_ID, check_columns, event_columns
from exit_pipeline.ingest.landing import lands_by_day, make_adapter_view, reading
from exit_pipeline.lake import Lake, create_table, render
from exit_pipeline.lake.table import DayState
from exit_pipeline.profile import Profile


@dataclass(frozen=True)
class IngestReport:
    """What became of the rows of one landing day; `events + duplicates + quarantine = read`.

    `stored` and `quarantined` are counted in the tables, after they were written. `again` says of a
    day that it was not asked for, but follows one whose events it may repeat.
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

    @property
    def balanced(self) -> bool:
        """Whether every row read is accounted for, as the tables hold it."""
        return self.stored + self.duplicates + self.quarantined == self.read

    @property
    def summary(self) -> str:
        """One line: what was read and what became of it."""
        broken = ", ".join(f"{rule} {count}" for rule, count in self.quarantine.items()) or "none"
        return (
            f"{self.read} rows read: {self.events} events ({self.late} late), "
            f"{self.duplicates} duplicates, quarantine: {broken}"
        )

    def to_metadata(self) -> dict[str, Any]:
        """Returns the counts as JSON-able values."""
        return {
            "read": self.read,
            "late": self.late,
            "duplicates": self.duplicates,
            "conflicting_duplicates": self.conflicting,
            "quarantined": self.quarantined,
            "touched_days": [day.isoformat() for day in self.touched_days],
        }


def ingest_days(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, days: Sequence[date]
) -> Iterator[IngestReport]:
    """Reads landing days into `events` and `quarantine`; doing it again changes nothing.

    Days may come in any order. Those already ingested whose rows may repeat events of a day that
    is read now (the days after it, up to the lateness horizon) are read again in the same call, so
    that of repeats the lowest (known_on, file, row) wins whatever came first.

    Args:
        connection: An open in-memory DuckDB.
        lake: Where the tables are.
        profile: The data set.
        days: The landing days.

    Yields:
        For each day, from the oldest to the newest, its counts, the event days touched and the
        content hash of the events. Days read again have `again` set.

    Raises:
        LandingError: Files are missing or unreadable.
        ContractError: Columns or types are wrong, or too many rows are broken; nothing changes.
    """
    waiting, adapted = set(days), frozenset[date]()
    while waiting:
        day = min(waiting)
        adapted = _adapt(connection, lake, profile, day, waiting, adapted)
        # From reading what landed before to writing, so that no other run's day comes between.
        with lake.writing("ingest"):
            before = lake.days("events").get(day)
            report = replace(_ingest_day(connection, lake, profile, day), again=day not in days)
            if not report.again or report.state != before:
                waiting |= _followers(lake, day, profile.spec.landing.lateness_days)
        waiting.remove(day)
        yield report


def _adapt(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    profile: Profile,
    day: date,
    waiting: set[date],
    adapted: frozenset[date],
) -> frozenset[date]:
    """Makes the view `adapted` for one day; returns the days whose rows are at hand.

    Files that do not lie by day are looked at once for all days that wait.
    """
    if lands_by_day(profile):
        make_adapter_view(connection, profile, lake.home, "events", day)
        check_columns(connection, event_columns(profile.spec), f"events of {day}")
        return adapted
    if day not in adapted:
        make_adapter_view(connection, profile, lake.home, "events")
        check_columns(connection, event_columns(profile.spec), "events")
        values = {"days": sorted(waiting), "undated": profile.spec.start}
        with reading("the landing files of the events"):
            create_table(connection, "adapted_days", "adapted_days", values)
        adapted = frozenset(waiting)
    connection.execute("create or replace temp view adapted as from adapted_days")
    return adapted


def _followers(lake: Lake, day: date, lateness_days: int) -> set[date]:
    last = day + timedelta(days=lateness_days)
    return {other for other in lake.days("events") if day < other <= last}


def _ingest_day(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, day: date
) -> IngestReport:
    spec = profile.spec
    _check(connection, lake, profile, day)
    for table, sql in (("kept", "events"), ("broken", "quarantine")):
        create_table(connection, table, sql, {"day": day}, context=spec.context)
    report = _report(connection, spec.start, day)
    _refuse_if_too_broken(profile, report)
    # Quarantine goes first: a run that dies between the two leaves rows accounted for twice
    # rather than not at all, and the next run puts both right.
    lake.replace(connection, "quarantine", "broken", [day])
    state = lake.replace(connection, "events", "kept", [day])[day]
    stored, broken = (lake.stored_rows(table, day) for table in ("events", "quarantine"))
    return replace(report, state=state, stored=stored, quarantined=broken)


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


def _refuse_if_too_broken(profile: Profile, report: IngestReport) -> None:
    broken, limit = sum(report.quarantine.values()), profile.spec.landing.broken_share
    if broken > limit * report.read:
        rules = ", ".join(f"{rule}: {count}" for rule, count in report.quarantine.items())
        raise ContractError(
            f"{broken} of {report.read} rows of {report.day} break the contract ({rules}), "
            f"more than the {limit:.2%} that the profile lets pass; nothing was changed",
            where=f"landing day {report.day}",
            mend="mend the files, or raise `landing.broken_share` if such rows may be left out",
        )
