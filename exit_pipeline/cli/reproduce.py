"""The command `reproduce`: a version trained again, and what differs."""

from __future__ import annotations

from typing import Any

import typer
from rich.table import Table

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.models import VersionArgument
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress

SHOWN = 20


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(reproduce)


def reproduce(
    version: VersionArgument, profile: ProfileOption = "simulated", json: Json = False
) -> None:
    """Trains a version again from what was recorded, and says exactly what differs (exit code 1).

    Bit for bit on the same instruction set and packages, elsewhere to a stated tolerance.
    """
    settings, lake, found = open_profile(profile)
    with progress("training again", total=1, quiet=json) as update:
        from exit_pipeline.registry.reproduce import reproduce as again

        made = again(settings, lake, found, version, lambda d, t, text: update(d / t, text))
    if json:
        emit(made.to_dict())
    else:
        _print(made)
    if not made.succeeded:
        raise typer.Exit(1)


def _print(made: Any) -> None:
    table = Table("what", "which", "recorded", "now", "largest difference")
    differences = [*made.causes, *made.results]
    for one in differences[:SHOWN]:
        largest = "" if one.largest is None else f"{one.largest:.2g}"
        table.add_row(one.what, one.name, _short(one.recorded), _short(one.now), largest)
    if differences:
        console.print(table)
    if len(differences) > SHOWN:
        console.print(f"… and {len(differences) - SHOWN} more; --json lists all")
    if not made.evaluated and made.trained:
        console.print("it was never evaluated: there are no metrics to compare with")
    console.print(f"version {made.version} {_sentence(made)}")


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"


def _sentence(made: Any) -> str:
    if not made.trained:
        return "was not trained again: its rows are not those that were recorded"
    if made.identical:
        return "came out the same, bit for bit"
    if made.succeeded:
        return "came out the same within the tolerance for another machine or other packages"
    return "came out differently"
