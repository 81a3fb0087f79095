"""The stages of the pipeline from a landed log to an epoch, each to be run in a fresh process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from exit_pipeline.bench.measure import watched
from exit_pipeline.experiments.overrides import overridden
from exit_pipeline.experiments.tables import ingest_landed
from exit_pipeline.features import input_spec, unit_input
from exit_pipeline.features.training_set import build_training_set
from exit_pipeline.ingest import landed_days
from exit_pipeline.labels import last_mature
from exit_pipeline.lake import Lake, connect
from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.registry.lineage import FITTED, TABLE, files_of
from exit_pipeline.settings import Settings, load_settings
from exit_pipeline.simulator import SimulationConfig, simulate
from exit_pipeline.stages import build_feature_tables, build_stage
from exit_pipeline.training import split_days, train_model

LOG, STAGE = "exit_pipeline.bench.steps:simulated", "exit_pipeline.bench.steps:stage"
LOOK = 0.1  # seconds between looks at what is spilled


@dataclass(frozen=True)
class Place:
    """Where a stage works: the tables of one home, filled from one log."""

    connection: DuckDBPyConnection
    settings: Settings
    lake: Lake
    profile: Profile


def simulated(log: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a log, and says how many MB it has."""
    with watched() as found:
        simulate(SimulationConfig(**sizes), Path(log))
    return {**found, "mb": _megabytes(Path(log))}


def stage(
    name: str, log: str, home: str, group: Sequence[str] | None = None, memory_limit: str = "2GB"
) -> dict[str, Any]:
    """Runs one stage on a log whose earlier stages were run.

    Args:
        name: One of `STEPS`.
        log: The log's folder.
        home: Gets the tables.
        group: The scene columns that make a group; None for the profile's own.
        memory_limit: Of DuckDB.

    Returns:
        What `watched` finds; `mb` that the tables grew by, and the most that was spilled at a time.
    """
    settings = load_settings(home=home, memory_limit=memory_limit)
    profile = load_profile(Path(log) / "profile")
    if group is not None:
        profile = replace(profile, spec=overridden(profile.spec, {"group": list(group)}))
    lake = Lake(settings.home_of(profile.name))
    before = _megabytes(lake.home.lake)
    with (
        connect(settings, lake.home) as connection,
        _spilled(lake.home.spill) as spilled,
        watched() as found,
    ):
        STEPS[name](Place(connection, settings, lake, profile))
    grown = round(_megabytes(lake.home.lake) - before, 2)
    return {**found, "mb": grown, "spilled_mb": spilled["mb"]}


def _ingest(at: Place) -> None:
    ingest_landed(at.connection, at.lake, at.profile, landed_days(at.profile, at.lake.home))


def _labels(at: Place) -> None:
    build_stage("labels", at.connection, at.settings, at.lake, at.profile, at.profile.spec.start)


def _features(at: Place) -> None:
    build_feature_tables(at.connection, at.lake, at.profile, at.profile.spec.start)


def _training_set(at: Place) -> None:
    spec, last = at.profile.spec, last_mature(at.lake, at.profile.spec)
    assert last is not None
    build_training_set(at.connection, at.lake, at.profile, spec.start, last, settings=at.settings)


def _epoch(at: Place) -> None:
    """Encodes the rows, fits EXIT to them once, and calibrates it."""
    spec, lake = at.profile.spec, at.lake
    split = split_days(list(lake.days(TABLE)), spec.split, spec.labels.horizon_days).to_dict()
    parts = {part: files_of(lake, split[part], lake.version(TABLE)) for part in FITTED}
    with lake.home.scratch() as scratch:
        train_model(
            "exit", input_spec(spec), parts, unit_input(spec), spec.model,
            spec.training.model_copy(update={"epochs": 1}), scratch=scratch,
            outcome=spec.outcome, threads=at.settings.threads,
            memory_limit=at.settings.memory_limit,
        )  # fmt: skip


TABLES = {
    "ingest": _ingest,
    "labels": _labels,
    "features": _features,
    "training_set": _training_set,
}
STEPS = {**TABLES, "epoch": _epoch}


@contextmanager
def _spilled(folder: Path) -> Iterator[dict[str, float]]:
    """Looks, from time to time, at how many MB lie in a folder, and keeps the most."""
    found, stop = {"mb": 0.0}, threading.Event()

    def look() -> None:
        while not stop.wait(LOOK):
            found["mb"] = max(found["mb"], _megabytes(folder))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield found
    finally:
        stop.set()
        looking.join()


def _megabytes(folder: Path) -> float:
    """What the files of a folder have, some of which may be going just now."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            with suppress(FileNotFoundError):
                total += Path(place, file).stat().st_size
    return round(total / 1e6, 2)
