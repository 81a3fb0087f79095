"""How the cost of labels grows, on DuckDB and on Spark; training in two processes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exit_pipeline.bench.labels import DAYS, prepare
from exit_pipeline.bench.measure import measure, report
from exit_pipeline.bench.scale_training import prepare_rows
from exit_pipeline.engines import check_engine
from exit_pipeline.errors import SettingsError
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import load_settings

STAGE, TRAINING = "exit_pipeline.bench.labels:stage", "exit_pipeline.bench.scale_training"
WHOLE = 200_000_000
SHARES = (40, 10, 1)  # of it, the logs
MEMORY = "2GB"  # DuckDB's, so that the process stays below 4 GB
ROWS, QUICK = {"towers": 400_000, "exit": 200_000}, 2  # to train on; by that if quick
LIMIT = 4 * 3600.0  # seconds for a label stage


def run(rows: int = WHOLE, quick: bool = False) -> dict[str, Any]:
    """Measures the label stage at three sizes of log, and an epoch in one and in two processes.

    Args:
        rows: Events of the largest log, over 30 days, measured once; a tenth and a fortieth of
            them are measured three times, and on Spark the fortieth.
        quick: 400,000 of them, and half the rows to train on; once.

    Returns:
        The report; see `measure.report`.
    """
    rows, repeats, less = (400_000, 1, QUICK) if quick else (rows, 3, 1)
    sizes = [rows // share for share in SHARES]
    small = _labels(sizes[0], repeats, ("duckdb", "spark") if _spark() else ("duckdb",))
    larger = [_labels(n, 1 if n == rows else repeats)["duckdb"] for n in sizes[1:]]
    labels, spark = [small["duckdb"], *larger], small.get("spark")
    if spark:
        del spark["rss_mb"]  # Python's part of it
    trained = {name: _trained(name, n // less, repeats) for name, n in ROWS.items()}
    speedups = {name: _speedups(found) for name, found in trained.items()}
    return report(
        "scale",
        {
            "rows": rows,
            "spark_rows": sizes[0],
            "days": DAYS,
            "repeats": repeats,
            "memory_limit": MEMORY,
            "trained": {name: n // less for name, n in ROWS.items()},
        },
        {"labels": dict(zip(sizes, labels, strict=True)), **trained},
        None,
        {"spark": spark},
        {
            "spark_cpu_per_duckdb": spark and spark["cpu_s"] / labels[0]["cpu_s"],
            "speedup_ddp_2": speedups["towers"]["together"],
            "speedup_ddp_2_exit": speedups["exit"]["together"],
        },
        {
            "growth_exponent_labels": growth(sizes, [found["cpu_s"] for found in labels]),
            "peak_mb_200m": labels[-1]["rss_mb"] if rows == WHOLE else None,
            "peak_mb": labels[-1]["rss_mb"],
            "speedup_apart_2": round(speedups["towers"]["apart"], 3),
            "speedup_apart_2_exit": round(speedups["exit"]["apart"], 3),
        },
    )


def growth(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The exponent of costs that grow as a power of the size, by least squares of logarithms."""
    return round(float(np.polyfit(np.log(sizes), np.log(costs), 1)[0]), 3)


def _spark() -> bool:
    """Whether Spark could start here."""
    try:
        check_engine(load_settings(engine="spark"), load_profile("simulated").spec)
    except SettingsError:
        return False
    return True


def _labels(rows: int, repeats: int, engines: Sequence[str] = ("duckdb",)) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as home:
        prepare(home, rows)
        given = {"home": home, "memory_limit": MEMORY}
        stages = {engine: (STAGE, {**given, "engine": engine}) for engine in engines}
        return measure(stages, repeats, LIMIT)


def _trained(name: str, rows: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        prepare_rows(Path(folder), name, rows)
        ways = ("alone", "together", "apart")
        given = {"folder": folder, "name": name}
        return measure({way: (f"{TRAINING}:{way}", given) for way in ways}, repeats)


def _speedups(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Rows a second, by those of one process."""
    rate = {way: told["rows"] / told["wall_s"] for way, told in found.items()}
    return {way: each / rate["alone"] for way, each in rate.items()}
