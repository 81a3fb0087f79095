"""Fixtures that several folders of tests share."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from exit_pipeline.bench.processes import COMMAND
from exit_pipeline.bench.servers import s3_server
from exit_pipeline.cli.main import app
from exit_pipeline.lake import Lake
from exit_pipeline.profile import load_profile
from exit_pipeline.registry.store import STORE, make_store
from exit_pipeline.settings import load_settings
from exit_pipeline.simulator import SimulationConfig, simulate
from tests.servers import RedisServer, redis_server


def pytest_sessionfinish(exitstatus: int) -> None:
    """Leaves at once at the very end: without DuckDB's report of «leaked instances»."""

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(exitstatus))

    atexit.register(leave)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what takes long, unless `EXIT_TESTS` asks for it: `slow` or `long`."""
    asked = os.environ.get("EXIT_TESTS", "")
    if asked not in ("", "slow", "long"):
        raise pytest.UsageError(f"EXIT_TESTS={asked}: slow or long")
    for item in items:
        for mark in ("slow", "long"):
            if item.get_closest_marker(mark) and asked not in (mark, "long"):
                item.add_marker(pytest.mark.skip(reason=f"takes long; set EXIT_TESTS={mark}"))


SMALL = SimulationConfig(days=11, users=260, items=120, seed=3)


def kill(process: subprocess.Popen) -> None:
    """Kills a command that was started with pipes, and then what it had begun.

    Dagster has a `tail` mirror each step's output, and a watcher end it if the step is killed: it
    holds the pipes open for ever where the step died between the starts of both.
    """
    process.send_signal(signal.SIGSTOP)  # it begins nothing more
    begun = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(60)
    for one in begun:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.communicate(timeout=60)


@dataclass(frozen=True)
class SmallHome:
    """A home with a small simulated log, on which commands can be run."""

    root: Path

    @property
    def lake(self) -> Lake:
        return Lake(load_settings(home=self.root).home_of("simulated"))

    @property
    def environment(self) -> dict[str, str]:
        """What a command run on this home needs; the file log of a test stays its own."""
        return {**os.environ, "EXIT_HOME": str(self.root), "EXIT_THREADS": "1"}

    def land(self) -> None:
        simulate(SMALL, self.lake.home.landing)

    def profile_ending(self, last: date) -> Path:
        """Writes the simulated profile with another end; returns its folder."""
        folder = self.root / "profile"
        shutil.copytree(load_profile("simulated").file.parent, folder)
        file = folder / "profile.yaml"
        file.write_text(re.sub(r"(?m)^end: .*$", f"end: {last}", file.read_text()))
        return folder

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*COMMAND, *arguments], env=self.environment, text=True, cwd=self.root,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=600)
        assert process.returncode == code, err
        return out if code == 0 else err

    def ask(self, *arguments: str) -> str:
        """What a command prints that is run in this process, which has its imports already."""
        environment = {"EXIT_HOME": str(self.root), "EXIT_THREADS": "1"}
        made = CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)
        assert made.exit_code == 0, made.output
        return made.stdout

    def hashes(self) -> dict[str, dict]:
        """Content hashes of every table, by day."""
        return {name: self.lake.days(name) for name in self.lake.tables()}


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> SmallHome:
    """A home on which the whole graph was run once; tests must leave its tables as they are."""
    home = SmallHome(tmp_path_factory.mktemp("home"))
    home.land()
    home.run("run")
    return home


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's store as it is when nothing is in it: its making takes seconds, a copy none."""
    file = tmp_path_factory.mktemp("store") / STORE
    make_store(file)
    return file


@pytest.fixture(scope="session")
def simulated():
    """The built-in profile of the simulated log."""
    return load_profile("simulated")


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis; who uses it empties it first."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment of an object store with a bucket, `lakes`."""
    with s3_server() as environment:
        yield environment


@pytest.fixture(params=["sqlite", "redis"])
def kept_in(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings under which features online are kept in sqlite, and in Redis."""
    if request.param == "sqlite":
        return {}
    server = request.getfixturevalue("redis")
    server.empty()
    return {"redis": SecretStr(server.address)}
