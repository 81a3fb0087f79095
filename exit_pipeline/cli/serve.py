"""The command that runs the ranking service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.output import ProfileOption


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(serve)


def serve(
    profile: ProfileOption = "simulated",
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    at: Annotated[
        Literal["now", "newest"] | None,
        typer.Option(
            help="The time of a request: now, or the moment of the newest features. By default "
            "now where the profile's log goes on, the newest features where it has an end."
        ),
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(help="An alias or number to score beside the champion.")
    ] = None,
    canary: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of users answered by the challenger, or what --shadow names."
        ),
    ] = 0.0,
    log_rankings: Annotated[
        Path | None,
        typer.Option(help="Folder for a log of what is shown; `land` makes a day of it."),
    ] = None,
) -> None:
    """Ranks over HTTP with the champion, and follows it; SIGTERM ends it."""
    from exit_pipeline.serving.run import serve as run
    from exit_pipeline.serving.service import Options

    settings, _, found = open_profile(profile)
    run(settings, found, Options(at, shadow, canary, log_rankings), host, port)
