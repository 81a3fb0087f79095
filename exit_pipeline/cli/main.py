"""The `exit-pipeline` command: assembles the commands and turns errors into exit codes."""

from __future__ import annotations

import atexit
import errno
import os
import sys

import typer

from exit_pipeline import __version__
from exit_pipeline.cli import (
    data,
    doctor,
    experiments,
    forget,
    models,
    operate,
    profiles,
    rank,
    report,
    reproduce,
    serve,
    show,
    stages,
    status,
)
from exit_pipeline.cli.output import emit, errors
from exit_pipeline.errors import ExitPipelineError

app = typer.Typer(
    help="Explicit interest transfer, from raw log to champion.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    operate, doctor, data, profiles, stages, models, rank, serve, report, reproduce, experiments,
    forget, status, show,
):  # fmt: skip
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
    _leave(_run())


def _run() -> int:
    try:
        app()
    except ExitPipelineError as error:
        return _say(error)
    except OSError as error:
        return _say(_of_the_system(error))
    except SystemExit as leave:  # how Typer ends, wrong use (2) included
        return leave.code if isinstance(leave.code, int) else 1
    except KeyboardInterrupt:
        errors.print("interrupted; what was whole before is whole now", style="yellow")
    return 1


def _say(error: ExitPipelineError) -> int:
    if "--json" in sys.argv:
        emit({"error": error.what, "where": error.where, "mend": error.mend})
    errors.print(f"error: {error}", style="red", markup=False)
    return error.exit_code


def _of_the_system(error: OSError) -> ExitPipelineError:
    """A full disk, a folder that may not be written: said in a line, not in a traceback."""
    if error.errno == errno.ENOSPC:
        mend = "free some space, then run again: what was whole before is whole now"
    else:
        mend = "`exit-pipeline doctor` says what is reachable and writable"
    where = str(error.filename or "")
    return ExitPipelineError(error.strerror or str(error), where=where, mend=mend)


def _leave(code: int) -> None:
    """Ends the process without taking modules apart one by one.

    With Feast or SQLAlchemy in the process, DuckDB's bindings report «leaked instances» while the
    interpreter shuts down; they are harmless, and nobody should have to read them.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
