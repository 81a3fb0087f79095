"""A day of operation: days land, late and drifted ones among them; all else happens by itself.

The daemon and the ranking service are the commands' own processes, and time is the clock's: the
log ends with yesterday. The test lands folders and looks; it starts no run. With
`OPERATION_USERS=800` and `-s` it is a larger day, and tells what it saw.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from exit_pipeline.lake import Lake
from exit_pipeline.registry import Registry
from exit_pipeline.registry.version import Version
from exit_pipeline.settings import Home, load_settings
from exit_pipeline.simulator import SimulationConfig, simulate
from tests.conftest import COMMAND
from tests.servers import free_port

USERS = int(os.environ.get("OPERATION_USERS", "260"))
TODAY = datetime.now(UTC).date()
# The log's days, counted back from today: an outage held up four of them.
OLDEST, STILL_THERE, OUTAGE, NEWEST = 17, 6, range(5, 1, -1), 1
# Since the outage everyone is out, and clicks what is shown first; most of its first day's clicks
# are lost, and come with the last day.
DRIFTED, LOST, KEPT = 5, 5, 10
CHANGES = """
name: operation
landing: {path: landing}
split: {validation_days: 1, calibration_days: 1, evaluation_days: 1}
monitoring: {settle_seconds: 1}
# By the clock nothing is asked for, whatever time of day it is: sensors alone do.
schedule: {daily: "0 0 29 2 *", retrain: "0 0 29 2 *"}
# A log this small lets no gate be as strict as it is by default.
gates: {logloss_margin: 0.02, max_ece: 0.08, max_miscalibration: 1, transfer_collapse: [0, 10],
        max_memorized: 1}
"""
PATIENCE = 900.0  # seconds for one step, at most


def day(back: int) -> str:
    return str(TODAY - timedelta(days=back))


@dataclass
class Operation:
    """A home whose daemon and service run, and a log that lands in it day by day."""

    root: Path
    port: int = field(default_factory=free_port)
    began: float = field(default_factory=time.monotonic)

    @property
    def profile(self) -> Path:
        return self.root / "profile.yaml"

    @property
    def home(self) -> Home:
        return load_settings(home=self.root / "home").home_of("operation")

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "EXIT_HOME": str(self.root / "home"), "EXIT_THREADS": "1",
                "EXIT_EXECUTOR": "in_process", "EXIT_SENSOR_SECONDS": "1"}  # fmt: skip

    def simulate(self) -> None:
        """Writes the log, and plants in it what is to be seen."""
        config = SimulationConfig(
            days=OLDEST, users=USERS, items=120, seed=3, start=TODAY - timedelta(days=OLDEST)
        )
        simulate(config, self.root / "log")
        plant(self.root / "log" / "events")
        written = self.root / "log" / "profile"
        changes = dict(line.split(": ", 1) for line in CHANGES.splitlines() if ": " in line)
        lines = (written / "profile.yaml").read_text().splitlines()
        kept = [x for x in lines if x.split(":")[0] not in {*changes, "end"}]
        self.profile.write_text("\n".join(kept) + CHANGES)
        for file in written.glob("*.sql"):
            shutil.copy(file, self.root)
        (self.root / "landing" / "events").mkdir(parents=True)
        for table in ("users", "items"):
            os.replace(self.root / "log" / table, self.root / "landing" / table)

    def land(self, *back: int) -> None:
        for one in back:
            name = f"events/ds={day(one)}"
            os.replace(self.root / "log" / name, self.root / "landing" / name)
        self.tell(f"landed {', '.join(day(one) for one in back)}")

    def run(self) -> None:
        """The first model, as `exit-pipeline run` makes it."""
        words = [*COMMAND, "run", "--profile", str(self.profile)]
        subprocess.run(words, env=self.environment, cwd=self.root, check=True, capture_output=True)

    @contextmanager
    def processes(self) -> Iterator[None]:
        """The daemon and the service, ended with the block."""
        commands = {
            "daemon": ["ui", "--part", "daemon"],
            "service": ["serve", "--port", str(self.port)],
        }
        with ExitStack() as stack:
            for name, words in commands.items():
                with (self.root / f"{name}.log").open("wb") as log:
                    process = subprocess.Popen(
                        [*COMMAND, *words, "--profile", str(self.profile)],
                        env=self.environment, cwd=self.root, stdout=log, stderr=log,
                    )  # fmt: skip
                stack.callback(process.wait, 60)
                stack.callback(process.terminate)
            yield

    def ask(self, path: str, body: object = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}{path}", data,
                          {"Content-Type": "application/json"})  # fmt: skip
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def serves(self) -> int:
        """The version that answers; 0 while the service comes up."""
        try:
            return self.ask("/v1/model")["version"]
        except URLError:
            return 0

    def rank(self) -> dict:
        return self.ask("/v1/rank", {"user_id": "u0000001", "scene": {"place": "out"}, "k": 5})

    def versions(self) -> dict[int, Version]:
        found = Registry(self.home, "operation").versions()
        return {version.version: version for version in found}

    def decided(self, version: int) -> str:
        found = self.versions().get(version)
        return found.decision if found else ""

    def clicked(self, back: int) -> int:
        """Exposures of a day whose label says that they were clicked."""
        lake = Lake(self.home)
        files = lake.files("training_set", [("ds", "=", date.fromisoformat(day(back)))])
        return pc.sum(pq.read_table(files[0], columns=["y"], partitioning=None)["y"]).as_py()

    def runs(self, job: str | None = None, *statuses: DagsterRunStatus) -> list[DagsterRun]:
        with DagsterInstance.from_config(str(self.home.dagster)) as instance:
            return instance.get_runs(RunsFilter(job_name=job, statuses=statuses))[::-1]

    def wait(self, what: str, holds: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, f"not {what}\n{self.told()}"
            threading.Event().wait(0.5)
        self.tell(what)

    def tell(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {what}")

    def told(self) -> str:
        """What the daemon did, for who reads that a step is missing."""
        return "\n".join(f"{run.job_name} {run.status.value} {run.tags}" for run in self.runs())


def plant(events: Path) -> None:
    """Plants the drift and the late clicks in a simulated log."""
    late = None
    for back in range(DRIFTED, 0, -1):
        file = events / f"ds={day(back)}" / "part-0.parquet"
        rows = drifted(pq.read_table(file, partitioning=None), back)
        if back == LOST:
            clicks = pc.and_(
                pc.equal(rows["domain"], "feed"), pc.equal(rows["event_type"], "click")
            )
            clicked = rows.filter(clicks)
            seen = pa.array([number % KEPT == 0 for number in range(clicked.num_rows)])
            late = clicked.filter(pc.invert(seen))
            rows = pa.concat_tables([rows.filter(pc.invert(clicks)), clicked.filter(seen)])
        if back == NEWEST:
            rows = pa.concat_tables([rows, late])
        pq.write_table(rows, file)


def drifted(rows: pa.Table, back: int) -> pa.Table:
    """The same day, but everyone is out, and clicks what is shown first."""
    feed = pc.equal(rows["domain"], "feed")
    place = pc.if_else(feed, "out", rows["place"])
    rows = rows.set_column(rows.schema.get_field_index("place"), "place", place)
    first = rows.filter(pc.and_(feed, pc.equal(rows["position"], 0)))
    clicks = {
        "event_id": pa.array([f"more-{back}-{n}" for n in range(first.num_rows)]),
        "ts": pc.add(first["ts"], timedelta(seconds=1)),
        "event_type": pa.array(["click"] * first.num_rows),
        "position": pa.nulls(first.num_rows, pa.int32()),
    }
    for name, column in clicks.items():
        first = first.set_column(first.schema.get_field_index(name), name, column)
    return pa.concat_tables([rows, first.cast(rows.schema)])


@pytest.mark.long
def test_a_day_of_operation(tmp_path):
    it = Operation(tmp_path)
    it.simulate()
    it.land(*range(OLDEST, STILL_THERE - 1, -1))
    it.run()
    assert it.decided(1) == "promoted"
    it.tell(f"version 1 promoted: {it.versions()[1].reason}")

    with it.processes():
        it.land(*OUTAGE)
        it.wait("version 1 answers", lambda: it.serves() == 1)
        before = it.rank()
        it.wait("version 2 refused", lambda: it.decided(2) == "refused")
        it.tell(it.versions()[2].reason)
        lost = it.clicked(LOST)
        assert it.rank()["model_version"] == 1
        it.land(NEWEST)
        it.wait("version 3 promoted", lambda: it.decided(3) == "promoted")
        it.tell(it.versions()[3].reason)
        it.wait("version 3 answers", lambda: it.serves() == 3)
        after = it.rank()
        it.tell(it.told())

    assert (before["model_version"], after["model_version"]) == (1, 3)
    assert after["features_as_of"] > before["features_as_of"]
    assert it.clicked(LOST) > 3 * lost
    # What the steps were asked by, and that none of them failed.
    assert "worse than the champion" in it.versions()[2].reason
    asked = [run.tags["exit/reason"] for run in it.runs("retrain")]
    assert len(asked) == 2
    assert all("5 of 5 days drifted" in reason for reason in asked)
    assert len(it.runs("daily_ingest", DagsterRunStatus.SUCCESS)) == 2
    assert len(it.runs("late_data", DagsterRunStatus.SUCCESS)) == 2
    assert not it.home.failures.exists(), it.home.failures.read_text()
