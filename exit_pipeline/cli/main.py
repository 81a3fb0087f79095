"""The `exit-pipeline` command: assembles the commands and turns errors into exit codes."""

from __future__ import annotations

import sys

import typer

from exit_pipeline import __version__
from exit_pipeline.cli import data, models, operate
from exit_pipeline.cli.output import emit, errors
from exit_pipeline.errors import ExitPipelineError

app = typer.Typer(
    help="Explicit interest transfer, from raw log to champion.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (operate, data, models):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True),
) -> None:
    """Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused by a gate."""


def main() -> None:
    """Runs the command line; an error of ours is printed without its traceback."""
    try:
        app()
    except ExitPipelineError as error:
        if "--json" in sys.argv:
            emit({"error": error.what, "where": error.where, "mend": error.mend})
        errors.print(f"error: {error}", style="red", markup=False)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        errors.print("interrupted; what was whole before is whole now", style="yellow")
        raise SystemExit(1) from None
