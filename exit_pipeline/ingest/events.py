"""Ingests one landing day of events: contract, deduplication, late rows, quarantine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import duckdb

from exit_pipeline.errors import ContractError, LandingError
from exit_pipeline.ingest.contract import check_columns, event_columns
from exit_pipeline.ingest.landing import lands_by_day, make_adapter_view
from exit_pipeline.lake import Lake, create_table, render
from exit_pipeline.lake.table import DayState
from exit_pipeline.profile import Profile

LONGEST_ID = 10_000


@dataclass(frozen=True)
class IngestReport:
    """What became of the rows of one landing day; `events + duplicates + quarantine = read`."""

    day: date
    read: int
    events: int
    late: int
    duplicates: int
    conflicting: int
    quarantine: dict[str, int]
    quarantined: int
    touched_days: list[date]
    state: DayState

    @property
    def balanced(self) -> bool:
        """Whether every row read is accounted for."""
        return self.state.rows + self.duplicates + self.quarantined == self.read

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

    Args:
        connection: An open in-memory DuckDB.
        lake: Where the tables are.
        profile: The data set.
        days: The landing days, from the oldest to the newest.

    Yields:
        For each day its counts, the event days touched and the content hash of the events.

    Raises:
        LandingError: Files are missing or unreadable.
        ContractError: Columns or types are wrong, or too many rows are broken; nothing changes.
    """
    if not lands_by_day(profile):  # one look at the raw files serves every day
        make_adapter_view(connection, profile, lake.home, "events")
        create_table(connection, "adapted_days", "adapted_days", {"days": list(days)})
    for day in days:
        if lands_by_day(profile):
            make_adapter_view(connection, profile, lake.home, "events", day)
        else:
            connection.execute("create or replace temp view adapted as from adapted_days")
        yield _ingest_day(connection, lake, profile, day)


def _ingest_day(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, day: date
) -> IngestReport:
    spec = profile.spec
    _check(connection, lake, profile, day)
    for table, sql in (("kept", "events"), ("broken", "quarantine")):
        create_table(connection, table, sql, {"day": day}, context=spec.context)
    report = _report(connection, day)
    _refuse_if_too_broken(profile, report)
    # Quarantine goes first: a run that dies between the two leaves rows accounted for twice
    # rather than not at all, and the next run puts both right.
    broken = lake.replace(connection, "quarantine", "broken", [day])[day]
    state = lake.replace(connection, "events", "kept", [day])[day]
    return replace(report, state=state, quarantined=broken.rows)


def _check(connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, day: date) -> None:
    """Makes the table `checked`: every row read, with the first rule it breaks."""
    spec = profile.spec
    check_columns(connection, event_columns(spec), f"events of {day}")
    _view_earlier(connection, lake, spec.landing.lateness_days, day)
    values = {
        "day": day,
        "lateness_days": spec.landing.lateness_days,
        "longest_id": LONGEST_ID,
        "domains": [spec.target, *spec.sources],
    }
    try:
        create_table(connection, "checked", "events_checked", values, context=spec.context)
    except duckdb.Error as error:
        raise LandingError(
            f"the landing files of {day} cannot be read: {str(error).splitlines()[0]}",
            where=f"landing day {day}",
            mend="land the day again; a file may be damaged, or hold values its type cannot",
        ) from error


def _view_earlier(
    connection: duckdb.DuckDBPyConnection, lake: Lake, lateness_days: int, day: date
) -> None:
    """Makes the view `earlier`: events that a repeat landing on `day` could repeat."""
    first = day - timedelta(days=lateness_days)
    if lake.exists("events"):
        filters = [("known_on", "<", day), ("known_on", ">=", first), ("ds", ">=", first)]
        lake.view(connection, "events", filters, alias="earlier")
    else:
        connection.execute(f"create or replace temp view earlier as {render('events_none')}")


def _report(connection: duckdb.DuckDBPyConnection, day: date) -> IngestReport:
    counts = connection.execute(render("repeats"), {"day": day}).fetchone()
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
