"""How cost grows along each axis of a log: its users, items, sources and days, and finer groups."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from exit_pipeline.bench.measure import measure, report, watched
from exit_pipeline.bench.scale import growth
from exit_pipeline.experiments.overrides import overridden
from exit_pipeline.experiments.tables import ingest_landed
from exit_pipeline.features.training_set import build_training_set
from exit_pipeline.ingest import landed_days
from exit_pipeline.labels import last_mature
from exit_pipeline.lake import Lake, connect
from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.settings import Settings, load_settings
from exit_pipeline.simulator import SimulationConfig, simulate
from exit_pipeline.stages import build_feature_tables, build_stage

HERE = "exit_pipeline.bench.growth"
USERS = 1_600
# By axis its values; all others stand at the default of the demo's log meanwhile.
AXES: Mapping[str, Sequence[int]] = {
    "users": (400, 1_600, 6_400, 25_600),
    "items": (480, 4_800, 48_000, 480_000),
    "sources": (1, 4, 16),
    "days": (14, 28, 56),
}
GROUPS = ("hour_band", "place", "day_kind", "segment")  # the first n of them: a finer group


def run(rows: int = USERS, quick: bool = False) -> dict[str, Any]:
    """Measures four stages of the pipeline along each axis, once each.

    Args:
        rows: Users of the log where another axis is measured; three requests of six items each in
            four weeks come of one.
        quick: A tenth of them, two values of two axes.

    Returns:
        The report; see `measure.report`.
    """
    users = rows // 10 if quick else rows
    axes = {"users": (users // 2, users), "sources": (1, 2)} if quick else AXES
    base = {"users": users, "days": 14 if quick else 28}
    found = {
        axis: {value: _measured({**base, axis: value}) for value in values}
        for axis, values in axes.items()
    }
    if not quick:
        found["group"] = {n: _measured(base, GROUPS[:n]) for n in range(len(GROUPS) + 1)}
    figures = {
        f"exponent_{axis}_{stage}": growth(
            list(points), [point[stage]["cpu_s"] for point in points.values()]
        )
        for axis, points in found.items()
        if axis != "group"
        for stage in STEPS
    }
    return report("growth", base, found, None, {}, {}, figures)


def stage(name: str, log: str, home: str, group: list[str] | None) -> dict[str, float]:
    """Runs one stage on a log whose earlier stages were run; in a process of its own."""
    settings = load_settings(home=home, memory_limit="2GB")
    profile = load_profile(Path(log) / "profile")
    if group is not None:
        profile = replace(profile, spec=overridden(profile.spec, {"group": group}))
    lake = Lake(settings.home_of(profile.name))
    before = _bytes(lake)
    with connect(settings, lake.home) as connection, watched() as found:
        STEPS[name](connection, settings, lake, profile)
    return {**found, "mb": round((_bytes(lake) - before) / 1e6, 2)}


def _ingest(
    connection: DuckDBPyConnection, settings: Settings, lake: Lake, profile: Profile
) -> None:
    ingest_landed(connection, lake, profile, landed_days(profile, lake.home))


def _labels(
    connection: DuckDBPyConnection, settings: Settings, lake: Lake, profile: Profile
) -> None:
    build_stage("labels", connection, settings, lake, profile, profile.spec.start)


def _features(
    connection: DuckDBPyConnection, settings: Settings, lake: Lake, profile: Profile
) -> None:
    build_feature_tables(connection, lake, profile, profile.spec.start)


def _training(
    connection: DuckDBPyConnection, settings: Settings, lake: Lake, profile: Profile
) -> None:
    last = last_mature(lake, profile.spec)
    assert last is not None
    build_training_set(connection, lake, profile, profile.spec.start, last, settings=settings)


STEPS = {"ingest": _ingest, "labels": _labels, "features": _features, "training_set": _training}


def _measured(sizes: Mapping[str, Any], group: Sequence[str] | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as folder:
        log = Path(folder) / "log"
        simulate(SimulationConfig(**sizes), log)
        given = {"log": str(log), "home": f"{folder}/home", "group": group and list(group)}
        stages = {name: (f"{HERE}:stage", {"name": name, **given}) for name in STEPS}
        return measure(stages, 1)


def _bytes(lake: Lake) -> int:
    return sum(file.stat().st_size for file in lake.home.lake.rglob("*.parquet"))
