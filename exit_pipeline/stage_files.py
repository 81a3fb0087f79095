"""A stage alone: from files in the contract's form to its tables as files, by the same steps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from exit_pipeline.engines import check_engine, open_engine
from exit_pipeline.errors import UsageError
from exit_pipeline.ingest import ingest_attributes, ingest_days
from exit_pipeline.ingest.adapter import make_adapter_view, reading
from exit_pipeline.ingest.contract import check_columns, event_columns
from exit_pipeline.ingest.landing import lands_by_day
from exit_pipeline.ingest.staging import stage_inputs, staged_days
from exit_pipeline.labels.build import missing_day
from exit_pipeline.lake import Lake, connect, create_table
from exit_pipeline.lake.table import days_between
from exit_pipeline.lock import exclusive
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings
from exit_pipeline.stages import STAGES, build_stage


def stage_files(
    stage: str, settings: Settings, profile: Profile, inputs: Mapping[str, Path], out: Path
) -> dict[str, Any]:
    """Takes a log that lies in files through a stage, and writes its tables as Parquet.

    The files go through the same steps as in the graph, from ingestion on, in a scratch lake
    beside the output that is removed again. The landing day of a row is the `ds=` folder below
    the path given or the column `ds`, else the day of its `ts`; of a lake's `events` table it is
    `known_on`.

    Of files under `ds=` folders a folder that is missing is a missing day: tables end before it.
    Of others a day without rows is a day without events; where more days than the lateness horizon
    pass without any, the log ends, and rows on the far side of the gap are quarantined as
    `ts_in_future` or `too_late` (the side with the most rows is the log).

    Args:
        stage: One of `STAGES`.
        settings: Engine of its tables, memory limit and threads.
        profile: Describes the data set.
        inputs: `events`, `items`, `users` → a Parquet file or folder, or a Delta table.
        out: The folder to write, a file a table and day; must be new or empty.

    Returns:
        Counts: `rows`, `days` with rows, `read`, `events`, `duplicates`, `quarantine` (by rule),
        `out`; and `missing_day`, the first missing `ds=` folder, or None.

    Raises:
        UsageError: `out` holds something already, or only some files lie under `ds=` folders.
        SettingsError: The engine is missing or does not start.
        LandingError: An input is missing or unreadable.
        ContractError: Columns, types or too many rows break the contract.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(
            "the output is a file, or a folder that is not empty",
            where=str(out),
            mend="name a new folder",
        )
    check_engine(settings, profile.spec)
    with _scratch(out) as home:
        lake = Lake(home)
        with connect(settings, home) as connection:
            of_files, days = _staged(connection, profile, inputs, home)
            for table in ("items", "users"):
                ingest_attributes(connection, lake, of_files, table)
            reports = list(ingest_days(connection, lake, of_files, days))
        first = min(lake.days("events"), default=None)
        if first is not None:
            with open_engine(settings, home) as engine:
                build_stage(stage, engine, settings, lake, of_files, first)
        with connect(settings, home) as connection:
            written = [_write(connection, lake, table, home.reports) for table in STAGES[stage]]
        missing = missing_day(lake)
        home.reports.mkdir(exist_ok=True)
        _move(home.reports, out)
    quarantine: dict[str, int] = {}
    for report in reports:
        for rule, count in report.quarantine.items():
            quarantine[rule] = quarantine.get(rule, 0) + count
    return {
        "out": str(out),
        "days": len(set().union(*written)),
        "rows": sum(sum(rows.values()) for rows in written),
        **{
            name: sum(getattr(r, name) for r in reports)
            for name in ("read", "events", "duplicates")
        },
        "quarantine": quarantine,
        "missing_day": missing and missing.isoformat(),
    }


def _staged(
    connection: duckdb.DuckDBPyConnection, profile: Profile, inputs: Mapping[str, Path], home: Home
) -> tuple[Profile, list[date]]:
    """Stages the inputs; returns the profile that reads them, and the landing days."""
    of_files = stage_inputs(profile, inputs, home)
    if lands_by_day(of_files):
        return of_files, staged_days(home)
    make_adapter_view(connection, of_files, home, "events")
    check_columns(connection, event_columns(of_files.spec), "events")
    values = {"lateness_days": of_files.spec.landing.lateness_days}
    with reading("the files of the events"):
        create_table(connection, "span", "label_span", values)
    span = connection.execute("from span").fetchone() or (of_files.spec.start, of_files.spec.start)
    return stage_inputs(profile, inputs, home, span), days_between(*span)


@contextmanager
def _scratch(out: Path) -> Iterator[Home]:
    """A home beside the output; what a killed call left there goes with the next one's."""
    folder = out.absolute().parent / f".{out.absolute().name}.scratch"
    refusal = UsageError(
        "another call is writing this output", where=str(out), mend="wait for it, or name another"
    )
    with exclusive(folder / "lock", 0, refusal):
        home = Home(folder / "home")
        shutil.rmtree(home.root, ignore_errors=True)
        home.root.mkdir()
        try:
            yield home
        finally:
            shutil.rmtree(folder)


def _move(made: Path, out: Path) -> None:
    """Moves a folder; an empty one that is there stays: someone stands in it, or it is a mount."""
    if not out.exists():
        os.replace(made, out)
        return
    for file in sorted(made.iterdir()):
        shutil.move(file, out / file.name)


def _write(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: str, out: Path
) -> dict[date, int]:
    """Writes the days of a table that have rows; returns how many rows each has."""
    rows = {day: state.rows for day, state in lake.days(table).items() if state.rows}
    if rows:
        out.mkdir(parents=True, exist_ok=True)
        lake.view(connection, table)
    for day in rows:
        found = connection.sql(f"select * from {table} where ds = '{day}' order by all")
        found.write_parquet(str(out / f"{table}-{day}.parquet"), compression="zstd")
    return rows
