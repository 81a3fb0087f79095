"""The command that writes a version's transfer report."""

from __future__ import annotations

import typer

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.models import VersionArgument
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(report)


def report(
    version: VersionArgument = "champion", profile: ProfileOption = "simulated", json: Json = False
) -> None:
    """Writes a version's transfer report: what transfers where, how well, and what was decided."""
    settings, lake, found = open_profile(profile)
    with progress("scoring the evaluation part", quiet=json):
        from exit_pipeline.report import build_report, headline, write_report

        made = build_report(settings, lake, found, version)
        page = write_report(lake, made)
    if json:
        number, decision = made.version.version, made.version.decision
        emit(
            {"version": number, "page": str(page), "headline": headline(made), "decision": decision}
        )
        return
    console.print(f"{headline(made)}.")
    console.print(f"the report of version {made.version.version} lies at {page}")
