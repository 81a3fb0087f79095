"""Commands to operate the whole: demo, ui, bench."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from exit_pipeline.bench import BENCHES
from exit_pipeline.cli.common import use_profile
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, errors, progress
from exit_pipeline.errors import GateRefusal, UsageError

if TYPE_CHECKING:
    from exit_pipeline.lake import Lake
    from exit_pipeline.profile import Profile
    from exit_pipeline.settings import Home


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    for command in (demo, ui, bench):
        app.command()(command)


def demo(
    seed: Annotated[int, typer.Option(min=0)] = 7,
    json: Json = False,
) -> None:
    """Simulates a log, runs the whole graph to a champion, and explains a ranking."""
    from exit_pipeline.cli.data import materialize
    from exit_pipeline.lake import Lake
    from exit_pipeline.profile import load_profile
    from exit_pipeline.settings import load_settings
    from exit_pipeline.simulator import SimulationConfig, simulate

    started = time.perf_counter()
    use_profile("simulated")
    settings, profile = load_settings(), load_profile("simulated")
    lake = Lake(settings.home_of(profile.name))
    if (lake.home.landing / "events").exists():
        errors.print(f"the log under {lake.home.landing} is used as it is")
    else:
        with progress("simulating a log", quiet=json):
            # What a demo that was killed left there is no log yet.
            simulate(SimulationConfig.sized("demo", seed=seed), lake.home.landing, overwrite=True)
    materialize(None, None, quiet=json)
    _refuse_without_champion(lake, profile)
    with progress("ranking", quiet=json):
        from exit_pipeline.ranking.rank import Ranker

        ranker = Ranker(settings, lake, profile)
        scene = {"hour_band": "evening", "place": "home"}
        ranking = ranker.rank(ranker.example_user(), scene, k=5)
    seconds = round(time.perf_counter() - started, 1)
    places = _places(lake.home, ranking.model_version)
    if json:
        emit({"seconds": seconds, "ranking": ranking.to_dict(), **places})
        return
    from exit_pipeline.cli.rank import print_ranking

    print_ranking(ranking)
    console.print(f"\ndone in {seconds} s; state lies under {places['home']}")
    console.print(f"  the graph     {places['ui']}")
    console.print(f"  the report    {places['report']}")
    console.print(f"  the registry  {places['registry']}")
    console.print(f"  data docs     {places['data_docs']}")


def _places(home: Home, champion: int) -> dict[str, str]:
    from exit_pipeline.report.page import page_file

    return {
        "home": str(home.root),
        "ui": "exit-pipeline ui",
        "report": str(page_file(home, champion)),
        "registry": "exit-pipeline models",
        "data_docs": str(home.reports / "data_docs" / "index.html"),
    }


def _refuse_without_champion(lake: Lake, profile: Profile) -> None:
    from exit_pipeline.registry import CHAMPION, Registry

    registry = Registry(lake.home, profile.name)
    if registry.find(CHAMPION) is None:
        newest = max(registry.versions(), key=lambda version: version.version)
        raise GateRefusal(
            f"version {newest.version} was {newest.decision}: {newest.reason}",
            where="the gates of promotion",
            mend="`exit-pipeline evaluate` shows what each gate measured",
        )


def ui(
    profile: ProfileOption = "simulated",
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    part: Annotated[
        Literal["webserver", "daemon"] | None,
        typer.Option(help="Only this part, where each has a process of its own."),
    ] = None,
) -> None:
    """Opens the Dagster UI with its daemon on this home; automation is on."""
    use_profile(profile)
    from assets.instance import close_dead_runs, hold_ui, open_instance
    from exit_pipeline.profile import load_profile
    from exit_pipeline.settings import load_settings

    settings = load_settings()
    home = settings.home_of(load_profile(profile).name)
    with open_instance(home) as instance:
        if part != "webserver":  # runs are the daemon's
            hold_ui(home)
            close_dead_runs(instance, by_command=False, by_ui=True)
    environment = {
        "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded",
        **os.environ,
        "DAGSTER_HOME": str(home.dagster),
        "EXIT_HOME": str(settings.home.absolute()),
    }
    if part != "daemon":
        errors.print(f"the Dagster UI comes up on http://{host}:{port} (stop it with Ctrl-C)")
    name, *words = {
        None: ["dagster", "dev"],
        "webserver": ["dagster-webserver"],
        "daemon": ["dagster-daemon", "run"],
    }[part]
    where = [] if part == "daemon" else ["-h", host, "-p", str(port)]
    program = str(Path(sys.executable).with_name(name))
    os.execve(program, [program, *words, "-m", "assets.definitions", *where], environment)


def bench(
    name: Annotated[
        str,
        typer.Argument(help=", ".join(BENCHES)),
    ],
    rows: Annotated[
        int | None, typer.Option(min=1000, help="Size; each bench has its own.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small size, once.")] = False,
    json: Json = False,
) -> None:
    """Measures the product beside its floor and its peers, in one run."""
    from importlib import import_module
    from inspect import signature

    if name not in BENCHES:
        raise UsageError(f"there is no bench {name!r}", mend=f"one of {', '.join(BENCHES)}")
    run = import_module(f"exit_pipeline.bench.{name}").run
    if rows is not None and "rows" not in signature(run).parameters:
        raise UsageError(f"the bench {name!r} has one size", mend="leave --rows out")
    with progress(f"measuring {name}", quiet=json):
        found = run(**({} if rows is None else {"rows": rows}), quick=quick)
    if json:
        emit(found)
        return
    table = Table("figure", "value")
    for key, value in {**found["ratios"], **found["figures"]}.items():
        table.add_row(key, "absent" if value is None else str(value))
    console.print(table)
