"""Commands that take files through one stage: labels, features, training-set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress

Input = Annotated[Path, typer.Option(help="Parquet file or folder, or Delta table.")]
OutOption = Annotated[Path, typer.Option(help="Folder for the files; must be empty or new.")]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="duckdb or spark; else what EXIT_ENGINE says.")
]


HELP = {
    "labels": """Runs the label stage alone, on any path in the contract's form; writes Parquet.

A row landed on the day of its `ds=` folder below the path, or of its column `ds`, else on the day
of its `ts`. A missing `ds=` folder ends the labels before it. In files without such folders a gap
longer than the lateness horizon ends the log; rows beyond are quarantined.""",
    "features": "Builds the feature tables alone, from files as `labels` reads them.",
    "training-set": "Builds labels, features and their point-in-time join alone, from such files.",
}


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    for stage, words in HELP.items():
        app.command(stage, help=words)(_command(stage))


def _command(stage: str) -> Callable[..., None]:
    def alone(
        events: Input,
        items: Input,
        users: Input,
        out: OutOption,
        profile: ProfileOption = "simulated",
        engine: EngineOption = None,
        json: Json = False,
    ) -> None:
        from exit_pipeline.profile import load_profile
        from exit_pipeline.settings import load_settings
        from exit_pipeline.stage_files import stage_files

        settings = load_settings(**({"engine": engine} if engine else {}))
        inputs = {"events": events, "items": items, "users": users}
        with progress(f"building {stage}", quiet=json):
            summary = stage_files(stage, settings, load_profile(profile), inputs, out)
        if json:
            emit(summary)
            return
        console.print(f"{summary['rows']:,} rows of {summary['days']} days lie under {out}")

    return alone
