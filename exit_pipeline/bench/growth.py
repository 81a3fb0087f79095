"""How cost grows along each axis of a log: its users, items, sources and days, and finer groups."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import measure, report
from exit_pipeline.bench.scale import growth
from exit_pipeline.bench.steps import STAGE, TABLES
from exit_pipeline.simulator import SimulationConfig, simulate

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
        for stage in TABLES
    }
    return report("growth", base, found, None, {}, {}, figures)


def _measured(sizes: Mapping[str, Any], group: Sequence[str] | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as folder:
        log = Path(folder) / "log"
        simulate(SimulationConfig(**sizes), log)
        given = {"log": str(log), "home": f"{folder}/home", "group": group and list(group)}
        stages = {name: (STAGE, {"name": name, **given}) for name in TABLES}
        return measure(stages, 1)
