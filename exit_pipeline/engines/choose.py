"""Which engine fills the tables, and whether it can."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from exit_pipeline.errors import SettingsError
from exit_pipeline.lake import connect
from exit_pipeline.lake.engine import Connection
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.settings import Home, Settings

LEAST_JAVA = 17
_JAVA = "apt-get install openjdk-17-jre-headless, or set JAVA_HOME"


@contextmanager
def open_engine(settings: Settings, home: Home) -> Iterator[Connection]:
    """Opens the engine of the settings, with their memory limit, threads and spill folder.

    Whether it is there, `check_engine` says.

    Raises:
        SettingsError: Spark does not start.
    """
    if settings.engine == "duckdb":
        with connect(settings, home) as connection:
            yield connection
        return
    from exit_pipeline.engines.spark import spark_engine

    with home.scratch() as folder, spark_engine(settings, folder) as engine:
        yield engine


def check_engine(settings: Settings, spec: ProfileSpec) -> None:
    """Checks, without starting it, that the engine of the settings is there.

    Raises:
        SettingsError: pyspark or Java is missing, Java is too old, or the profile asks for what
            only DuckDB does.
    """
    if settings.engine == "duckdb":
        return
    if spec.labels.consistency.expectation == "regression":
        raise _refusal("labels.consistency.expectation is regression", "set it to bands")
    if find_spec("pyspark") is None:
        raise _refusal("pyspark is not installed", "pip install -c constraints.txt -e '.[spark]'")
    java = _java()
    if java is None:
        raise _refusal("there is no Java", _JAVA)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if not found:
        raise _refusal(f"{java} does not run", _JAVA)
    if int(found[1]) < LEAST_JAVA:
        raise _refusal(f"Java {found[1]} at {java} is older than Java {LEAST_JAVA}", _JAVA)


def _java() -> str | None:
    """The Java that Spark would start."""
    if home := os.environ.get("JAVA_HOME"):
        java = Path(home) / "bin" / "java"
        return str(java) if java.is_file() else None
    return shutil.which("java")


def _refusal(why: str, mend: str) -> SettingsError:
    return SettingsError(
        f"the engine Spark cannot be used: {why}",
        where="EXIT_ENGINE or --engine",
        mend=f"{mend}; or choose the engine duckdb",
    )
