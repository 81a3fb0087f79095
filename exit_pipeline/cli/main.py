"""The `exit-pipeline` command: assembles the commands and turns errors into exit codes."""

from __future__ import annotations

import atexit
import errno
import os
import sys
import traceback
from typing import Any

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

INTERRUPTED = 130  # as Typer ends on Ctrl-C
WRONG_USE: Any = typer.BadParameter.__base__  # it has no public name

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
        # Not standalone, where Typer would print and end by itself, and nothing came with `--json`.
        code = app(standalone_mode=False)
    except ExitPipelineError as error:
        return _say(error)
    except OSError as error:
        return _say(_of_the_system(error))
    except WRONG_USE as error:
        error.show()
        command = error.ctx.command_path if error.ctx else "exit-pipeline"
        _tell(error.format_message(), command, f"`{command} --help` says what it takes")
        return error.exit_code
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 — whatever it is, `--json` gets its object
        traceback.print_exc()
        return _say(_of_ours(error))
    if code == INTERRUPTED:
        _tell("interrupted", "", "run it again: what was whole before is whole now")
        errors.print("interrupted; what was whole before is whole now", style="yellow")
    return code if isinstance(code, int) else 0


def _say(error: ExitPipelineError) -> int:
    _tell(error.what, error.where, error.mend)
    errors.print(f"error: {error}", style="red")
    return error.exit_code


def _tell(what: str, where: str, mend: str) -> None:
    """Prints an error as the one JSON object that `--json` promises."""
    if "--json" in sys.argv:
        emit({"error": what, "where": where, "mend": mend})


def _of_ours(error: Exception) -> ExitPipelineError:
    """What nobody foresaw: its traceback is on standard error."""
    return ExitPipelineError(
        f"{type(error).__name__}: {error}",
        where="exit_pipeline, as the traceback says",
        mend="report it with its traceback, and with what `exit-pipeline doctor` says",
    )


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
