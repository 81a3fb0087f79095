"""Ingests landing days of events: contract, deduplication, late rows, quarantine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

import duckdb

from exit_pipeline.errors import ContractError
from exit_pipeline.ingest.day import IngestReport, adapt_day, judge_day, too_broken
from exit_pipeline.lake import Lake
from exit_pipeline.profile import Profile


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
        adapted = adapt_day(connection, lake.home, profile, day, waiting, adapted)
        # From reading what landed before to writing, so that no other run's day comes between.
        with lake.writing("ingest"):
            before = lake.days("events").get(day)
            report = replace(_ingest_day(connection, lake, profile, day), again=day not in days)
            if not report.again or report.state != before:
                waiting |= _followers(lake, day, profile.spec.landing.lateness_days)
        waiting.remove(day)
        yield report


def _followers(lake: Lake, day: date, lateness_days: int) -> set[date]:
    last = day + timedelta(days=lateness_days)
    return {other for other in lake.days("events") if day < other <= last}


def _ingest_day(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, day: date
) -> IngestReport:
    report = judge_day(connection, lake, profile, day)
    if refusal := too_broken(profile, report):
        raise ContractError(
            f"{refusal}; nothing was changed",
            where=f"landing day {day}",
            mend="mend the files, or raise `landing.broken_share` if such rows may be left out",
        )
    # Quarantine goes first: a run that dies between the two leaves rows accounted for twice
    # rather than not at all, and the next run puts both right.
    lake.replace(connection, "quarantine", "broken", [day])
    state = lake.replace(connection, "events", "kept", [day])[day]
    stored, broken = (lake.stored_rows(table, day) for table in ("events", "quarantine"))
    return replace(report, state=state, stored=stored, quarantined=broken)
