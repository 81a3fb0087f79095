"""The whole: the demo, loading the definitions, and what a day of a backfill takes."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import measure, report
from exit_pipeline.bench.processes import seconds_of
from exit_pipeline.settings import load_settings
from exit_pipeline.simulator import SimulationConfig, simulate

HERE = "exit_pipeline.bench.pipeline"


def run(rows: int = 130_000, quick: bool = False) -> dict[str, Any]:
    """Measures the demo, the definitions and a backfill.

    Args:
        rows: Exposures of the backfill's log, about.
        quick: A tenth of them, and no demo.
    """
    rows = rows // 10 if quick else rows
    definitions = measure({"load": (f"{HERE}:definitions", {})}, 1 if quick else 3)["load"]
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder:
        home = Path(folder) / "backfill"
        config = SimulationConfig(days=28, users=max(rows // 168, 50), items=480)
        simulate(config, load_settings(home=home).home_of("simulated").landing)
        select = "group:ingest, group:labels, group:features"
        backfill = seconds_of(home, "run", "--select", select)
        demo = None if quick else seconds_of(Path(folder) / "demo", "demo")
    return report(
        "pipeline",
        {"exposures": rows, "days": config.days},
        {"definitions": definitions, "backfill_seconds": backfill, "demo_seconds": demo},
        None,
        {},
        {},
        {
            "demo_seconds": demo,
            "definitions_cpu_seconds": definitions["cpu_s"],
            "backfill_seconds_per_day": round(backfill / config.days, 3),
        },
    )


def definitions() -> dict[str, float]:
    """Loads the code location in a process of its own; its start is counted too."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import assets.definitions"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"cpu_s": round(cpu, 3), "wall_s": round(time.perf_counter() - started, 3)}
