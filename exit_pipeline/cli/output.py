"""What a command prints: one JSON object with `--json`, otherwise text for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# No markup: names, ids and reasons may hold brackets.
console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        envvar="EXIT_PROFILE",
        help="Name of a built-in profile, or path of a YAML file.",
    ),
]


def emit(value: Mapping[str, Any]) -> None:
    """Prints one JSON object on standard output."""
    sys.stdout.write(json.dumps(value, default=str, allow_nan=False) + "\n")


@contextmanager
def progress(title: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Any]:
    """Shows a bar, or a spinner where the amount of work is unknown, on standard error.

    Yields:
        A function that takes the units done (or None to leave them) and a line of text.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *((BarColumn(),) if total else ()),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=quiet) as bar:
        task = bar.add_task(title, total=total)

        def update(done: float | None = None, text: str | None = None) -> None:
            bar.update(task, completed=done, description=text or title)

        yield update
