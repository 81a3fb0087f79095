"""The worlds that studies run on: a log, its tables, the split rows, and the planted truth."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.errors import LakeError, UsageError
from exit_pipeline.experiments.asking import Question, ask_world
from exit_pipeline.experiments.overrides import overridden
from exit_pipeline.experiments.tables import build_tables, sample, sorted_rows
from exit_pipeline.features import input_spec, unit_input
from exit_pipeline.files import write_text
from exit_pipeline.lake import Lake
from exit_pipeline.lock import exclusive
from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.settings import Home, Settings
from exit_pipeline.simulator import SimulationConfig, simulate
from exit_pipeline.training.split import split_days

SIMULATED = ("A", "B")
WORLDS = (*SIMULATED, "complete_journey")
LOCK_SECONDS = 3600.0


@dataclass(frozen=True)
class WorldSpec:
    """Which world, and what differs from the standard one.

    Args:
        name: `A` and `B` are simulated, `complete_journey` is real.
        size: Of a simulated log: `standard`, or `quick` for a tiny one.
        simulation: Fields of `SimulationConfig`, such as `{"sources": 4}`.
        profile: Dotted keys of the profile, such as `{"labels.consistency.definition": "rate"}`.
    """

    name: str
    size: str = "standard"
    simulation: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in WORLDS:
            raise UsageError(f"there is no world {self.name!r}", mend=f"one of {', '.join(WORLDS)}")

    @property
    def simulated(self) -> bool:
        """Whether the planted truth is known."""
        return self.name in SIMULATED

    @property
    def config(self) -> SimulationConfig:
        """What the log is simulated from."""
        return SimulationConfig.sized(self.size, world=self.name, **self.simulation)

    @property
    def log(self) -> str:
        """The log's name; worlds that differ in the profile alone share it."""
        return _named(f"{self.name}-{self.size}" if self.simulated else self.name, self.simulation)

    @property
    def key(self) -> str:
        """The name of the world's folder."""
        return _named(self.log, self.profile)


@dataclass(frozen=True)
class HeldOut:
    """Rows with a value in a column that count in the last days of training alone."""

    column: str
    value: str
    days: int


@dataclass(frozen=True)
class World:
    """A world that is ready.

    Args:
        spec: Which.
        settings: Limits and the home.
        profile: As the world's tables were built by.
        folder: Holds the tables and rows.
        parts: The files of each part of the split.
        digest: SHA-256 over the content of the training set's days.
        last_day: The last training day.
        seconds: What its tables took.
    """

    spec: WorldSpec
    settings: Settings
    profile: Profile
    folder: Path
    parts: Mapping[str, Sequence[str]]
    digest: str
    last_day: date
    seconds: float = 0.0

    @property
    def home(self) -> Home:
        """The folders of its lake."""
        return Home(self.folder / "home")

    @cached_property
    def inputs(self):
        """The columns that a model may read."""
        return input_spec(self.profile.spec)

    @property
    def unit(self) -> str:
        """The column that holds the interest unit."""
        return unit_input(self.profile.spec)

    @cached_property
    def evaluation(self) -> pa.Table:
        """The evaluation rows, by time and id."""
        return pq.read_table(self.folder / "evaluation.parquet")

    @cached_property
    def validation(self) -> pa.Table:
        """The validation rows, by time and id."""
        return pq.read_table(self.folder / "validation.parquet")

    @property
    def log(self) -> Path:
        """The simulated log, its truth beside it."""
        return self.settings.home.absolute() / "experiments" / "logs" / self.spec.log

    @cached_property
    def question(self) -> Question | None:
        """What the simulator is asked in place of an A/B test; None on real data."""
        return Question.read(self.folder / "question") if self.spec.simulated else None

    def training_files(self, share: float, held_out: HeldOut | None = None) -> Sequence[str]:
        """Files with a share of the training rows, by a hash of their ids: shares are nested.

        Args:
            share: In (0, 1].
            held_out: Rows that count in the last days alone.
        """
        if share == 1 and held_out is None:
            return self.parts["train"]
        name = json.dumps([share, held_out and asdict(held_out)])
        file = self.folder / "samples" / f"{hashlib.sha256(name.encode()).hexdigest()[:12]}.parquet"
        with exclusive(file.with_suffix(".lock"), LOCK_SECONDS, _busy(file)):
            if not file.exists():
                since = self.last_day - timedelta(days=held_out.days - 1) if held_out else None
                held = (held_out.column, held_out.value, since) if held_out and since else None
                sample(self.settings, self.home, self.parts["train"], share, file, held)
        return [str(file)]


def prepare(spec: WorldSpec, settings: Settings) -> World:
    """Makes a world unless it stands: log, tables, split rows, and what the simulator is asked.

    Args:
        spec: Which.
        settings: Limits and the home; all of it lies under `EXIT_HOME/experiments`.
    """
    root = settings.home.absolute() / "experiments"
    folder = root / "worlds" / spec.key
    with exclusive(folder / "lock", LOCK_SECONDS, _busy(folder)):
        profile = _profile(spec, root / "logs")
        world = World(spec, settings, profile, folder, {}, "", profile.spec.start)
        if not (folder / "ready.json").exists():
            _make(world)
    ready = json.loads((folder / "ready.json").read_text("utf-8"))
    ready["last_day"] = date.fromisoformat(ready["last_day"])
    return replace(world, **ready)


def _profile(spec: WorldSpec, logs: Path) -> Profile:
    if not spec.simulated:
        found = load_profile(spec.name)
    else:
        log = logs / spec.log
        with exclusive(logs / f".{spec.log}.lock", LOCK_SECONDS, _busy(log)):
            if not (log / "events").exists():
                simulate(spec.config, log)
        found = load_profile(log / "profile")
    return replace(found, spec=overridden(found.spec, spec.profile))


def _make(world: World) -> None:
    settings, profile, folder = world.settings, world.profile, world.folder
    lake = Lake(world.home, "experiments")
    started = time.perf_counter()
    build_tables(settings, lake, profile)
    seconds = round(time.perf_counter() - started, 1)
    states = {day: s for day, s in lake.days("training_set").items() if s.rows}
    split = split_days(list(states), profile.spec.split, profile.spec.labels.horizon_days).days()
    parts = {
        part: lake.files("training_set", [("ds", ">=", min(days)), ("ds", "<=", max(days))])
        for part, days in split.items()
    }
    for part in ("validation", "evaluation"):
        sorted_rows(settings, world.home, parts[part], folder / f"{part}.parquet")
    if world.spec.simulated:
        ask_world(world.spec.config, settings, lake, profile, split["evaluation"],
                  folder / "question")  # fmt: skip
    digest = hashlib.sha256(json.dumps([states[day].hash for day in sorted(states)]).encode())
    ready = {"parts": parts, "digest": digest.hexdigest(), "seconds": seconds,
             "last_day": str(max(split["train"]))}  # fmt: skip
    shutil.rmtree(folder / "samples", ignore_errors=True)
    write_text(folder / "ready.json", json.dumps(ready))


def _busy(place: Path) -> LakeError:
    return LakeError("another process has long been making this", where=str(place))


def _named(name: str, changes: Mapping[str, Any]) -> str:
    if not changes:
        return name
    text = json.dumps(dict(changes), sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
