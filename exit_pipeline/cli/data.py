"""Commands about data: simulate, run, land."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exit_pipeline.cli.common import open_profile, use_profile
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress

if TYPE_CHECKING:
    from assets.plan import Stage


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.command()(simulate)
    app.command()(run)
    app.command()(land)


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must hold no log yet.")],
    days: Annotated[int | None, typer.Option(min=3, max=3650)] = None,
    users: Annotated[int | None, typer.Option(min=10, max=50_000_000)] = None,
    items: Annotated[int | None, typer.Option(min=24, max=50_000_000)] = None,
    sources: Annotated[int | None, typer.Option(min=1, max=32)] = None,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    world: Annotated[str, typer.Option(help="A: the form that `carry` assumes; B: another.")] = "A",
    size: Annotated[
        str, typer.Option(help="demo (seconds) or standard (about 1 M exposures).")
    ] = "demo",
    json: Json = False,
) -> None:
    """Writes a log in the contract's form, and the planted truth beside it."""
    from exit_pipeline.simulator import SimulationConfig
    from exit_pipeline.simulator import simulate as write

    chosen = {"days": days, "users": users, "items": items, "sources": sources}
    given = {name: value for name, value in chosen.items() if value is not None}
    config = SimulationConfig.sized(size, seed=seed, world=world, **given)
    with progress("simulating", quiet=json):
        counts = write(config, out)
    if json:
        emit(counts)
        return
    console.print(f"{counts['exposures']:,} exposures of {counts['days']} days lie under {out}")
    console.print(f"  exit-pipeline run --profile {counts['profile']}")


def run(
    profile: ProfileOption = "simulated",
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"])] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"])] = None,
    select: Annotated[str | None, typer.Option(help="A Dagster asset selection.")] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Put the tables aside and build them again.")
    ] = False,
    json: Json = False,
) -> None:
    """Materializes the graph without the UI: the same definitions, one run a stage."""
    use_profile(profile)
    stages = materialize(_date(first), _date(last), select, full_refresh, quiet=json)
    trained = any("champion" in stage.assets for stage in stages)
    decision = _decision(profile) if trained else None
    if json:
        titles = [stage.title for stage in stages]
        emit({"profile": profile, "stages": titles, "model": decision})
    elif decision:
        word, reason = decision["decision"], decision["reason"]
        console.print(f"version {decision['version']} {word}: {reason}")


def _decision(profile: str) -> dict | None:
    """What became of the newest version; None where nothing was trained yet."""
    from exit_pipeline.profile import load_profile
    from exit_pipeline.settings import load_settings

    name = load_profile(profile).name
    home = load_settings().home_of(name)
    if not home.mlflow.exists():
        return None
    from exit_pipeline.registry import Registry

    versions = Registry(home, name).versions()
    return max(versions, key=lambda v: v.version).to_dict() if versions else None


def materialize(
    first: date | None,
    last: date | None,
    select: str | None = None,
    full_refresh: bool = False,
    *,
    quiet: bool = False,
) -> list[Stage]:
    """Runs the graph with progress; returns the stages that were run."""
    from exit_pipeline.engines import check_engine
    from exit_pipeline.profile import load_profile
    from exit_pipeline.settings import load_settings

    settings = load_settings()
    check_engine(settings, load_profile(settings.profile).spec)
    with progress("loading the graph", quiet=quiet) as update:
        from assets.run import run_graph

        def on_stage(stage: Stage) -> None:
            update(text=stage.title)
            if not quiet:
                console.print(f"  {stage.title}")

        return run_graph(first, last, select, on_stage, full_refresh=full_refresh)


def land(
    log: Annotated[Path, typer.Argument(help="Folder that `serve --log-rankings` writes to.")],
    profile: ProfileOption = "simulated",
    json: Json = False,
) -> None:
    """Lands what a service showed: the days that have ended, in the form of the log contract."""
    from exit_pipeline.ingest.shown import land_shown

    settings, lake, found = open_profile(profile)
    rows = land_shown(settings, lake.home, found, log, datetime.now(UTC))
    if json:
        emit({"days": {day.isoformat(): count for day, count in rows.items()}})
        return
    for day, count in rows.items():
        console.print(f"{day}: {count:,} impressions landed")
    if not rows:
        console.print("no day of this log has ended")


def _date(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
