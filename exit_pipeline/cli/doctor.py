"""The command `doctor`: what is installed, reachable and writable."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from packaging.requirements import Requirement
from rich.table import Table

from exit_pipeline.cli.output import Json, console, emit

if TYPE_CHECKING:
    from exit_pipeline.errors import SettingsError
    from exit_pipeline.settings import Settings

Row = dict[str, Any]
STACK = ("dagster", "duckdb", "deltalake", "feast", "great-expectations", "mlflow", "torch")
OURS = "exit-pipeline"


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(doctor)


def doctor(json: Json = False) -> None:
    """Says what is installed, reachable and writable, and how to mend what is not."""
    from exit_pipeline.errors import SettingsError
    from exit_pipeline.settings import Settings, load_settings

    rows = [_python(), *(_package(name) for name in STACK)]
    rows += [_extra(name) for name in metadata(OURS).get_all("Provides-Extra", [])]
    shown = "value"
    try:
        settings = load_settings()
    except SettingsError as error:  # what would hang on the others is not looked at
        settings, shown = Settings.model_construct(), "default"
        rows.append(_unusable(error))
    else:
        rows += _of_settings(settings)
    values = {
        f"EXIT_{name.upper()}": {"value": str(getattr(settings, name)), "meaning": info.description}
        for name, info in Settings.model_fields.items()
    }
    ok = all(row["ok"] for row in rows if not row.get("optional"))
    if json:
        emit({"ok": ok, "checks": rows, "settings": values})
    else:
        _print(rows, values, shown)
    raise typer.Exit(0 if ok else 1)


def _print(rows: list[Row], values: dict[str, Row], shown: str) -> None:
    table = Table("", "what", "found", "mend")
    for row in rows:
        mark = "ok" if row["ok"] else "optional" if row.get("optional") else "WRONG"
        words = (row["what"], row["found"], "" if row["ok"] else row["mend"])
        table.add_row(mark, *words)
    console.print(table)
    listed = Table("setting", shown, "meaning")
    for name, told in values.items():
        listed.add_row(name, told["value"], told["meaning"])
    console.print(listed)


def _of_settings(settings: Settings) -> list[Row]:
    from exit_pipeline.cli.reach import servers

    here = [_writable(settings.home), _device(settings.device), _engine(settings)]
    return [*here, *servers(settings)]


def _unusable(error: SettingsError) -> Row:
    return {"what": error.where, "ok": False, "found": error.what,
            "mend": "unset it, or write what its meaning below asks for"}  # fmt: skip


def _python() -> Row:
    return {"what": "python", "ok": sys.version_info[:2] == (3, 11),
            "found": platform.python_version(), "mend": "use Python 3.11"}  # fmt: skip


def _package(name: str) -> Row:
    try:
        found = version(name)
    except PackageNotFoundError:
        found = "not installed"
    return {"what": name, "ok": found != "not installed", "found": found, "mend": "make setup"}


def _extra(name: str) -> Row:
    lacking = sorted(_lacking(OURS, name))
    return {"what": f"extra {name}", "ok": not lacking, "optional": True,
            "found": f"without {', '.join(lacking)}" if lacking else "installed",
            "mend": f"pip install -c constraints.txt -e '.[{name}]'"}  # fmt: skip


def _lacking(package: str, extra: str) -> set[str]:
    """Returns what an extra of a package asks for that is not installed, or in another version."""
    lacking: set[str] = set()
    for wanted in map(Requirement, requires(package) or ()):
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            continue  # the package's own need, not the extra's
        if wanted.marker.evaluate({"extra": extra}):
            found = OURS if wanted.name == OURS else _version(wanted)
            lacking |= {wanted.name} if found is None else set()
            for further in wanted.extras if found else ():
                lacking |= _lacking(wanted.name, further)
    return lacking


def _version(wanted: Requirement) -> str | None:
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return None
    return found if wanted.specifier.contains(found, prereleases=True) else None


def _writable(home: Path) -> Row:
    place = next(p for p in (home.absolute(), *home.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free // 10**9
    ok = os.access(place, os.W_OK) and free >= 1
    return {"what": f"home {home}", "ok": ok, "found": f"{free} GB free",
            "mend": "set EXIT_HOME to a writable folder with 1 GB free"}  # fmt: skip


def _device(wanted: str) -> Row:
    from exit_pipeline.errors import SettingsError
    from exit_pipeline.training.device import choose_device

    try:
        return {
            "what": "training device",
            "ok": True,
            "found": str(choose_device(wanted)),
            "mend": "",
        }
    except SettingsError as error:
        return {"what": "training device", "ok": False, "found": error.what, "mend": error.mend}


def _engine(settings: Settings) -> Row:
    from exit_pipeline.engines import check_engine
    from exit_pipeline.errors import UsageError
    from exit_pipeline.profile import load_profile

    row = {"what": "engine", "ok": True, "found": settings.engine, "mend": ""}
    try:
        check_engine(settings, load_profile(settings.profile).spec)
    except UsageError as error:
        return {**row, "ok": False, "found": error.what, "mend": error.mend}
    return row
