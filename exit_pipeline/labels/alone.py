"""The label stage alone: from files in the contract's form to label files, by the same steps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from deltalake import DeltaTable

from exit_pipeline.errors import LandingError, UsageError
from exit_pipeline.ingest import ingest_attributes, ingest_days
from exit_pipeline.ingest.contract import attribute_columns, event_columns
from exit_pipeline.ingest.landing import make_adapter_view
from exit_pipeline.labels.build import (
    build_group_consistency,
    build_icl_labels,
    build_impressions,
    build_source_interest,
    last_mature,
)
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings

NULLABLE = {"request_id": "varchar", "value": "double", "position": "integer"}


def label_files(
    settings: Settings, profile: Profile, inputs: Mapping[str, Path], out: Path
) -> dict[str, Any]:
    """Labels a log that lies in files, and writes the label table (version 1) as Parquet.

    The files go through the same ingestion and label steps as the graph, in a scratch lake that is
    removed again. `known_on` is the column or folder `ds` where there is one, else the day of `ts`.

    Args:
        settings: Memory limit and threads.
        profile: Describes the data set.
        inputs: `events`, `items`, `users` → a Parquet file or folder, or a Delta table.
        out: The folder to write, one file a day; must be new or empty.

    Returns:
        Counts: `rows`, `days`, `read`, `events`, `duplicates`, `quarantine` (by rule), `out`.

    Raises:
        UsageError: `out` holds something already.
        LandingError: An input is missing or unreadable.
        ContractError: Columns, types or too many rows break the contract.
    """
    if out.exists() and any(out.iterdir()):
        raise UsageError("the output folder is not empty", where=str(out), mend="name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".labels-", dir=out.parent) as scratch:
        home = Home(Path(scratch))
        lake, connection = Lake(home), connect(settings, home)
        alone = _stage(profile, inputs, home)
        make_adapter_view(connection, alone, home, "events")
        days = [day for (day,) in connection.execute(render("label_days")).fetchall()]
        for table in ("items", "users"):
            ingest_attributes(connection, lake, alone, table)
        reports = list(ingest_days(connection, lake, alone, days))
        written = _label(connection, lake, alone, home.reports)
        if out.exists():
            out.rmdir()
        home.reports.mkdir(exist_ok=True)
        os.replace(home.reports, out)
    quarantine: dict[str, int] = {}
    for report in reports:
        for rule, count in report.quarantine.items():
            quarantine[rule] = quarantine.get(rule, 0) + count
    return {
        "out": str(out),
        "days": len(written),
        "rows": sum(written.values()),
        **{
            name: sum(getattr(r, name) for r in reports)
            for name in ("read", "events", "duplicates")
        },
        "quarantine": quarantine,
    }


def _label(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, out: Path
) -> dict[date, int]:
    first = min(lake.days("events"), default=None)
    last = last_mature(lake, profile.spec)
    if first is None or last is None or last < first:
        return {}
    for build in (build_impressions, build_source_interest, build_group_consistency):
        build(connection, lake, profile, first, last)
    states = build_icl_labels(connection, lake, profile, first, last)
    out.mkdir(parents=True)
    lake.view(connection, "icl_labels")
    for day, state in states.items():
        if state.rows:
            rows = connection.sql(f"select * from icl_labels where ds = '{day}' order by event_id")
            rows.write_parquet(str(out / f"icl_labels-{day}.parquet"), compression="zstd")
    return {day: state.rows for day, state in states.items() if state.rows}


def _stage(profile: Profile, inputs: Mapping[str, Path], home: Home) -> Profile:
    """Links the inputs into a scratch landing place, with adapters that take them as they are."""
    tables = {}
    for table, path in inputs.items():
        tables[table] = _link(table, path, home.landing / table)
        first = next(home.landing.glob(tables[table]))
        columns = set(pq.read_schema(first).names) | _hive_columns(first)
        wanted = (
            event_columns(profile.spec)
            if table == "events"
            else attribute_columns(profile.spec, table)
        )
        absent = {n: kind for n, kind in NULLABLE.items() if n in wanted and n not in columns}
        absent |= {n: "varchar" for n in profile.spec.context if n in wanted and n not in columns}
        present = [n for n in wanted if n in columns and n not in ("ds", "file", "row")]
        sql = render(
            "own_adapter", table=table, present=present, absent=absent, has_day="ds" in columns
        )
        (home.root / f"{table}.sql").write_text(sql, "utf-8")
    landing = profile.spec.landing.model_copy(update={"path": str(home.landing), "tables": tables})
    adapter = {table: f"{table}.sql" for table in inputs}
    spec = profile.spec.model_copy(update={"landing": landing, "adapter": adapter})
    return Profile(spec, home.root / "profile.yaml", profile.text)


def _link(table: str, path: Path, folder: Path) -> str:
    if path.is_dir() and DeltaTable.is_deltatable(str(path)):
        files = [Path(file) for file in DeltaTable(str(path)).file_uris()]
    else:
        files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise LandingError(
            f"there is no Parquet file of {table!r}",
            where=str(path),
            mend=f"--{table} takes a Parquet file, a folder of them, or a Delta table",
        )
    root = path.parent if path.is_file() else path
    for file in files:
        link = folder / file.absolute().relative_to(root.absolute())
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.absolute())
    by_day = all("ds=" in str(file) for file in files)
    return f"{table}/ds=*/*.parquet" if by_day else f"{table}/**/*.parquet"


def _hive_columns(file: Path) -> set[str]:
    return {part.split("=", 1)[0] for part in file.parent.parts if "=" in part}
