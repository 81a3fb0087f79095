"""The command `experiment`: a study from its question to its report."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from exit_pipeline.cli.output import Json, console, emit, progress
from exit_pipeline.errors import UsageError

# Named here too, so that `--help` lists them without loading torch; a test compares the two.
NAMES = (
    "baselines", "ablation", "data", "labels", "abtest", "lambdas", "granularity", "sources",
    "context", "overlap", "incompatible", "seeds", "policy", "tuning",
    "loop",
)  # fmt: skip
WHOLE = ("tuning", "loop")
NEEDED = ("lightgbm", "optuna")


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(experiment)


def experiment(
    name: Annotated[str, typer.Argument(help=", ".join(NAMES))],
    quick: Annotated[
        bool, typer.Option("--quick", help="A tiny world: shows that it runs.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="At most this many seeds of each entry.")
    ] = None,
    world: Annotated[list[str] | None, typer.Option(help="Of these worlds alone.")] = None,
    at: Annotated[
        list[str] | None, typer.Option(help="At these places of its axis alone, such as '8 %'.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Compare these alone.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; by default under EXIT_HOME.")
    ] = None,
    json: Json = False,
) -> None:
    """Runs a study, and writes its table, plot, figures and sentence; done runs are used again."""
    partly = bool(seeds or world or at or only)
    _refuse(name, partly)
    with progress(f"{name}: making the world", total=1, quiet=json) as update:
        from exit_pipeline.experiments.studies import EXPERIMENTS
        from exit_pipeline.experiments.study import Part
        from exit_pipeline.settings import load_settings

        part = {"part": Part(seeds, world or (), at or (), only or ())} if partly else {}
        found = EXPERIMENTS[name](
            load_settings(), quick=quick, out=out, **part,
            progress=lambda done, total, text: update(done / total, text),
        )  # fmt: skip
    if json:
        emit({key: found[key] for key in ("study", "out", "title", "sentence")})
        return
    console.print((Path(found["out"]) / "table.md").read_text("utf-8"), soft_wrap=True)
    console.print(f"the report lies under {found['out']}")


def _refuse(name: str, partly: bool) -> None:
    """Raises UsageError where a study cannot be run as it was asked for."""
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"studies need {' and '.join(missing)}", mend="pip install 'exit-pipeline[studies]'"
        )
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no study {name!r}", mend=f"{hint}one of {', '.join(NAMES)}")
    if partly and name in WHOLE:
        raise UsageError(f"{name} is one whole", mend="leave --seeds, --world, --at and --only out")
