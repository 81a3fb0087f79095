"""The command `show`: rows of a table of the lake."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.output import Json, ProfileOption, console, emit


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(show)


def show(
    table: Annotated[str, typer.Argument(help="A table of the lake, such as quarantine.")],
    day: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Only this day; of events and quarantine the landing day."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    profile: ProfileOption = "simulated",
    json: Json = False,
) -> None:
    """Shows rows of a table, those of the newest days first."""
    settings, lake, _ = open_profile(profile)
    from exit_pipeline.lake.peek import peek

    found = peek(settings, lake, table, day.date() if day else None, limit)
    if json:
        rows = [{name: _plain(value) for name, value in row.items()} for row in found.rows]
        emit({"table": table, "day": day and day.date(), "total": found.total, "rows": rows})
        return
    _print(found.rows)
    console.print(f"{len(found.rows):,} of {found.total:,} rows")


def _plain(value: Any) -> Any:
    """JSON has no NaN, and no time."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date) else value


def _print(rows: list[dict[str, Any]]) -> None:
    """Prints a table where it fits the width, else each row as a list of its own."""
    if not rows:
        return
    names = list(rows[0])
    table = Table(*names)
    for row in rows:
        table.add_row(*(Text(_word(value)) for value in row.values()))
    if console.measure(table).maximum < console.width:
        console.print(table)
        return
    width = max(map(len, names))
    for row in rows:
        for name, value in row.items():
            console.print(f"{name:<{width}}  {_word(value)}", soft_wrap=True)
        console.rule()


def _word(value: Any) -> str:
    return "" if value is None else str(value)
