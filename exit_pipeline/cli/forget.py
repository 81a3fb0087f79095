"""The command that deletes a person's data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(forget)


def forget(
    user_id: Annotated[str, typer.Argument(help="The person's id, as the log has it.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the record.")] = "",
    profile: ProfileOption = "simulated",
    json: Json = False,
) -> None:
    """Deletes a person from lake, online store, models and logs; none of theirs is let in again."""
    settings, lake, found = open_profile(profile)
    with progress("deleting", quiet=json):
        from assets.instance import idle
        from exit_pipeline.privacy.forget import forget as remove

        with idle(lake.home):
            deletion = remove(settings, lake.home, found, user_id, reason)
    if json:
        emit(asdict(deletion))
        return
    for place, count in deletion.removed.items():
        console.print(f"  {place}: {count:,}")
    if not deletion.removed:
        console.print("nothing of this id was found")
    console.print("the id is on the list: nothing of it is let in from now on"
                  if deletion.new else "the id was on the list before")  # fmt: skip
    for note in deletion.notes:
        console.print(f"  note: {note}")
