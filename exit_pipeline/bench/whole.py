"""A large log through every stage under one limit of memory: what each costs, holds and spills."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import measure, report
from exit_pipeline.bench.steps import LOG, STAGE, STEPS
from exit_pipeline.lake import Lake
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import load_settings

EVENTS, EVENTS_OF_A_USER = 5_000_000, 250
EVENTS_OF_AN_ITEM, DAYS = 100, 28
MEMORY = "1GB"  # DuckDB's; a process has more: two of them at times, Delta's writer, torch
LIMIT = 6 * 3600.0  # seconds for a stage


def run(rows: int = EVENTS, quick: bool = False) -> dict[str, Any]:
    """Measures each stage once, from writing the log to an epoch of the default model.

    Args:
        rows: Events of the log, about.
        quick: A fifth of a million.

    Returns:
        The report; see `measure.report`.
    """
    rows = 200_000 if quick else rows
    users, items = rows // EVENTS_OF_A_USER, rows // EVENTS_OF_AN_ITEM
    sizes = {"users": users, "items": items, "days": DAYS}
    with tempfile.TemporaryDirectory(prefix="bench-whole-") as folder:
        log, home = f"{folder}/log", f"{folder}/home"
        given = {"log": log, "home": home, "memory_limit": MEMORY}
        stages = {name: (STAGE, {"name": name, **given}) for name in STEPS}
        found = measure({"simulate": (LOG, {"log": log, "sizes": sizes}), **stages}, 1, LIMIT)
        name = load_profile(Path(log) / "profile").name
        lake = Lake(load_settings(home=home).home_of(name))
        events, exposures = (_rows(lake, table) for table in ("events", "training_set"))
    cpu = sum(told["cpu_s"] for told in found.values())
    return report(
        "whole",
        {"rows": rows, **sizes, "memory_limit": MEMORY},
        found,
        None,
        {},
        {},
        {
            "events": events,
            "exposures": exposures,
            "peak_mb": max(told["rss_mb"] for told in found.values()),
            "cpu_seconds_per_million": round(cpu / events * 1e6, 1),
        },
    )


def _rows(lake: Lake, table: str) -> int:
    return sum(state.rows for state in lake.days(table).values())
