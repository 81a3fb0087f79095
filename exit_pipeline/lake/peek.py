"""A look at rows of a table, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from exit_pipeline.errors import UsageError
from exit_pipeline.lake.duck import connect, render
from exit_pipeline.lake.states import DayState
from exit_pipeline.lake.table import Filter, Lake
from exit_pipeline.settings import Settings

FIRST = {"quarantine": ("rule", "file", "row")}  # what a reader looks for


@dataclass(frozen=True)
class Peek:
    """Some rows of a table.

    Args:
        rows: By column, in the order to show them.
        total: How many there are in the table, or of the day asked for.
    """

    rows: list[dict[str, Any]]
    total: int


def peek(settings: Settings, lake: Lake, table: str, day: date | None, limit: int) -> Peek:
    """Reads rows of a table, those of the newest days first.

    Args:
        settings: Threads and memory.
        lake: Has the tables.
        table: One of the lake's.
        day: The only day to read: a landing day where the table is replaced by landing days.
        limit: At most so many rows.

    Raises:
        UsageError: There is no such table, or no such day of it.
    """
    _check_table(lake, table)
    days = lake.days(table)
    if day is not None:
        _check_day(table, day, days)
    key = next(iter(lake.partitions(table)), None)
    first = FIRST.get(table, ())
    with connect(settings, lake.home) as connection:
        lake.view(connection, table, _reach(key, day, days, limit), alias="seen")
        found = [name for name, *_ in connection.execute("describe seen").fetchall()]
        columns = [*first, *(name for name in found if name not in first)]
        sql = render("peek", columns=columns, day=key)
        rows = connection.sql(sql, params={"rows": limit}).to_arrow_table().to_pylist()
    total = sum(state.rows for at, state in days.items() if day in (None, at))
    return Peek(rows, total)


def _reach(
    key: str | None, day: date | None, days: dict[date, DayState], limit: int
) -> list[Filter]:
    """As many days, from the newest back, as hold the rows that are asked for."""
    if key is None:
        return []
    if day is not None:
        return [(key, "=", day)]
    since, rows = max(days, default=date.min), 0
    for since in sorted(days, reverse=True):
        rows += days[since].rows
        if rows >= limit:
            break
    return [(key, ">=", since)]


def _check_table(lake: Lake, table: str) -> None:
    there = lake.tables()
    if table in there:
        return
    near = get_close_matches(table, there, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"there is no table {table!r}" if there else "no table was built yet",
        where=str(lake.home.lake),
        mend=f"{hint}one of {', '.join(there)}" if there else "`exit-pipeline run` builds them",
    )


def _check_day(table: str, day: date, days: dict[date, DayState]) -> None:
    if day in days:
        return
    if date.min in days:
        raise UsageError(f"the table {table!r} has no days", mend="leave --day out")
    near = min(days, key=lambda one: abs(one - day))
    raise UsageError(
        f"the table {table!r} holds no day {day}",
        where=f"it holds days of {min(days)} … {max(days)}",
        mend=f"the nearest is --day {near}",
    )
