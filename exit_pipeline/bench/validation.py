"""Great Expectations inside DuckDB against one hand-written scan that checks the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb

from exit_pipeline.bench.measure import measure, report, watched
from exit_pipeline.lake.duck import render
from exit_pipeline.settings import load_settings

HERE = "exit_pipeline.bench.validation"


def run(rows: int = 5_000_000, quick: bool = False) -> dict[str, Any]:
    """Validates `rows` events.

    Args:
        rows: Events.
        quick: 100,000 rows, once.
    """
    rows, repeats = (100_000, 1) if quick else (rows, 3)
    with tempfile.TemporaryDirectory(prefix="bench-validation-") as folder:
        with duckdb.connect() as connection:
            connection.execute("load icu; set TimeZone = 'UTC'")
            events = render("bench_events")
            connection.execute(
                f"copy ({events}) to '{folder}/events.parquet'", {"rows": rows, "users": rows // 50}
            )
        found = measure(
            {
                "ours": (f"{HERE}:expectations", {"folder": folder}),
                "scan": (f"{HERE}:scan", {"folder": folder}),
            },
            repeats,
        )
    ours, floor = found["ours"], found["scan"]
    return report(
        "validation",
        {"rows": rows, "repeats": repeats},
        ours,
        floor,
        {},
        {"scan": ours["cpu_s"] / floor["cpu_s"]},
        {"rss_mb": ours["rss_mb"]},
    )


def expectations(folder: str) -> dict[str, float]:
    """Runs the suite of `events`, as the pipeline does."""
    from exit_pipeline.profile import load_profile
    from exit_pipeline.validation import rules_for
    from exit_pipeline.validation.run import validate

    settings = load_settings(home=Path(folder), memory_limit="700MB", threads=2)
    rules = rules_for("events", load_profile("simulated").spec)
    home = settings.home_of("simulated")
    with watched() as found:
        report = validate("events", [f"{folder}/events.parquet"], (), rules, settings, home)
    report.raise_for_status()
    return found


def scan(folder: str) -> dict[str, float]:
    """Checks the same in one query."""
    with duckdb.connect(config={"memory_limit": "700MB", "threads": 2}) as connection:
        connection.execute("load icu; set TimeZone = 'UTC'")
        with watched() as found:
            sql = render("bench_validation_floor", file=f"{folder}/events.parquet")
            broken = connection.execute(sql).fetchone()
    assert broken is not None
    assert not any(broken)
    return found
