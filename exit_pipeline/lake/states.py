"""What the days of a table hold: counted and hashed before they are written, told by the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from exit_pipeline.lake.duck import quoted, render
from exit_pipeline.lake.paths import commits


class DayState(NamedTuple):
    """What a stored day holds: its number of rows and a hash of its content."""

    rows: int
    hash: str


def logged_states(folder: Path) -> dict[date, DayState]:
    """Returns the state of every stored day, from the commit metadata of a Delta table."""
    states: dict[date, DayState] = {}
    for file in commits(folder):
        states |= _written_by(file, file.stat().st_mtime_ns)
    return states


def day_states(
    connection: duckdb.DuckDBPyConnection, rows: str, day_column: str, days: Sequence[date]
) -> dict[date, DayState]:
    """Counts and hashes the rows of a DuckDB table, by day."""
    names = [column[0] for column in connection.execute(f"describe {quoted(rows)}").fetchall()]
    columns = ", ".join(quoted(n) for n in sorted(names) if n != day_column)
    sql = render("_day_states", table=rows, day=day_column, columns=columns)
    found = {day: DayState(n, content) for day, n, content in connection.execute(sql).fetchall()}
    return {day: found.get(day, DayState(0, "empty")) for day in days}


def whole_state(connection: duckdb.DuckDBPyConnection, rows: str) -> DayState:
    """Counts and hashes the rows of a DuckDB table without days."""
    connection.execute(
        "create or replace temp view __whole as "
        f"select *, date '0001-01-01' as __day from {quoted(rows)}"
    )
    return day_states(connection, "__whole", "__day", [date.min])[date.min]


@lru_cache(maxsize=100_000)
def _written_by(commit: Path, written_ns: int) -> dict[date, DayState]:
    """Returns the days that a commit wrote; the time tells a table made anew from the old one."""
    lines = commit.read_text("utf-8").splitlines()
    told = [json.loads(line)["commitInfo"] for line in lines if '"commitInfo"' in line]
    days = json.loads(told[0].get("days", "{}")) if told else {}
    return {date.fromisoformat(day): DayState(*state) for day, state in days.items()}
