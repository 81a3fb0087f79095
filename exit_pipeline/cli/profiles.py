"""The commands `profile check` and `profile init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.output import Json, console, emit, progress

if TYPE_CHECKING:
    from exit_pipeline.ingest.trial import Trial
    from exit_pipeline.profile import Profile

profile = typer.Typer(
    help="Draft a profile, or explain what is wrong with one.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.add_typer(profile, name="profile")


@profile.command("check")
def check(
    file: Annotated[str, typer.Argument(help="A YAML file or a built-in name.")],
    data: Annotated[
        bool, typer.Option("--data", help="Try the adapters and the rules on what has landed.")
    ] = False,
    json: Json = False,
) -> None:
    """Explains a profile's mistakes with their lines, or says what it declares.

    With `--data` nothing is ingested: it says what would become of the newest day that has landed.
    """
    from exit_pipeline.profile import load_profile

    found = load_profile(file)
    if not json:
        _print_profile(found)
    tried = _try(file, quiet=json) if data else None
    good = tried is None or tried.refusal is None
    if json:
        told = {"profile": found.name, "file": str(found.file), "hash": found.hash, "ok": good}
        emit({**told, **({"data": tried.to_dict()} if tried else {})})
    elif tried:
        _print_trial(tried)
    raise typer.Exit(0 if good else 1)


def _try(file: str, *, quiet: bool) -> Trial:
    settings, lake, found = open_profile(file)
    with progress("trying the adapters", quiet=quiet):
        from exit_pipeline.ingest.trial import try_landing
        from exit_pipeline.lake import connect

        with connect(settings, lake.home) as connection:
            return try_landing(connection, lake, found)


def _print_profile(found: Profile) -> None:
    spec = found.spec
    console.print(f"{found.file}: good")
    console.print(
        f"  {spec.target} ← {', '.join(spec.sources)}; interest unit {spec.interest_unit}"
    )
    group = " × ".join(spec.group) or "everyone"
    console.print(f"  scene {' × '.join(spec.scene.columns)}; group {group}")
    console.print(
        f"  labels: {spec.labels.consistency.definition}, mature after "
        f"{spec.labels.maturity_days} days"
    )


def _print_trial(tried: Trial) -> None:
    report = tried.report
    of = f"{tried.days[0]} … {tried.days[-1]}" if len(tried.days) > 1 else str(tried.days[0])
    rows = ", ".join(f"{count:,} {table}" for table, count in tried.versions.items())
    console.print(f"the adapters run, and every column is there: events of {of}, {rows}")
    console.print(
        f"  {report.day}: {report.read:,} rows read, {report.events:,} good "
        f"({report.late:,} late), {report.duplicates:,} duplicates"
    )
    for rule, count in report.quarantine.items():
        console.print(f"  quarantined: {count:,} {rule}")
    if report.outside:
        console.print(f"  not read: {report.outside:,} rows of days outside `start` … `end`")
    if tried.refusal:
        console.print(f"this day would be refused: {tried.refusal}", style="red")
        console.print("  mend the files, or raise `landing.broken_share` if they may be left out")


@profile.command("init")
def init(
    landing: Annotated[Path, typer.Argument(help="A folder with Parquet files.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default `profile` beside LANDING.")
    ] = None,
    json: Json = False,
) -> None:
    """Looks at Parquet files, and drafts a profile with its adapters."""
    from exit_pipeline.profile.draft import draft_profile
    from exit_pipeline.settings import load_settings

    with progress("looking", quiet=json):
        found = draft_profile(load_settings(), landing, out)
    if json:
        emit(found)
        return
    console.print(f"{found['target']} ← {', '.join(found['sources'])}, "
                  f"{found['start']} … {found['end']}")  # fmt: skip
    for note in found["notes"]:
        console.print(f"  note: {note}")
    console.print(f"read what is marked DECIDE in {found['out']}/profile.yaml, then")
    console.print(f"  exit-pipeline profile check {found['out']} --data")
