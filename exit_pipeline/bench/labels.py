"""Labels against their floor and pandas; growth, a small memory limit, one more day."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import measure, report, watched
from exit_pipeline.engines import open_engine
from exit_pipeline.labels import (
    build_group_consistency,
    build_icl_labels,
    build_impressions,
    build_source_interest,
)
from exit_pipeline.lake import Lake, connect, create_table, render
from exit_pipeline.lake.table import days_between
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import Settings, load_settings

START, DAYS = date(2026, 1, 5), 30
LAST = START + timedelta(days=DAYS - 2)  # the last mature day
HERE = "exit_pipeline.bench.labels"
LABEL_TABLES = (
    "impressions", "source_interest", "group_sums", "group_consistency", "icl_labels",
)  # fmt: skip


def run(rows: int = 20_000_000, quick: bool = False) -> dict[str, Any]:
    """Measures the label stage.

    Args:
        rows: Events of the log, over 30 days.
        quick: A small log, once.

    Returns:
        The report; see `measure.report`.
    """
    rows, repeats = (200_000, 1) if quick else (rows, 3)
    with tempfile.TemporaryDirectory(prefix="bench-labels-") as folder:
        one, two = f"{folder}/one", f"{folder}/two"
        prepare(one, rows)
        prepare(two, 2 * rows)
        found = measure(
            {
                "floor": (f"{HERE}:floor", {"home": one}),
                "source_interest": (f"{HERE}:source_interest", {"home": one}),
                "pandas": (f"{HERE}_pandas:source_interest", {"home": one}),
                "stage": (f"{HERE}:stage", {"home": one}),
                "stage_double": (f"{HERE}:stage", {"home": two}),
                "double_1gb": (f"{HERE}:stage", {"home": two, "memory_limit": "1GB"}),
                "day": (f"{HERE}:stage", {"home": one, "first": str(LAST)}),
            },
            repeats,
        )
    cpu = {name: told["cpu_s"] for name, told in found.items()}
    floor, peer = found.pop("floor"), found.pop("pandas")
    return report(
        "labels",
        {"rows": rows, "days": DAYS, "repeats": repeats},
        found,
        floor,
        {"pandas": peer},
        {
            "floor": cpu["source_interest"] / cpu["floor"],
            "stage_floor": cpu["stage"] / cpu["floor"],
            "growth_40m_20m": cpu["stage_double"] / cpu["stage"],
            "memory_1gb": cpu["double_1gb"] / cpu["stage_double"],
            "speedup_pandas": cpu["pandas"] / cpu["source_interest"],
            "increment": cpu["day"] / (cpu["stage"] / (DAYS - 1)),
        },
        {"rss_mb_1gb": found["double_1gb"]["rss_mb"], "rows_equal_pandas": peer["rows_equal"]},
    )


def prepare(home: str, rows: int) -> None:
    """Makes a lake with `rows` events, their items and users."""
    settings, lake = open_home(home)
    shutil.rmtree(home, ignore_errors=True)
    with connect(settings, lake.home) as connection:
        values = {"rows": rows, "users": max(rows // 200, 50)}
        for first in range(0, DAYS, 5):
            days = [START + timedelta(days=first + n) for n in range(5)]
            part = f"from ({render('bench_events')}) where ds between '{days[0]}' and '{days[-1]}'"
            connection.execute(f"create or replace temp table part as {part}", values)
            lake.replace(connection, "events", "part", days)
        for table in ("items", "users"):
            create_table(connection, "made", f"bench_{table}", values)
            lake.replace_all(connection, table, "made")


def floor(home: str) -> dict[str, float]:
    """Reads, filters, joins and sorts."""
    settings, lake = open_home(home)
    with connect(settings, lake.home) as connection, watched() as found:
        lake.view(connection, "events")
        lake.view(connection, "items")
        connection.execute(render("bench_labels_floor"))
    return found


def source_interest(home: str) -> dict[str, float]:
    """The source-interest step, as the pipeline runs it, over every mature day."""
    settings, lake = open_home(home)
    profile = load_profile("simulated")
    if not lake.exists("impressions"):
        with connect(settings, lake.home) as connection:
            build_impressions(connection, lake, profile, START, LAST)
    _forget(lake, "source_interest")
    with connect(settings, lake.home) as connection, watched() as found:
        build_source_interest(connection, lake, profile, START, LAST)
    return found


def stage(
    home: str, memory_limit: str = "8GB", first: str | None = None, engine: str = "duckdb"
) -> dict[str, float]:
    """The whole label stage to Delta: exposures, source interest, consistency, ICL."""
    settings, lake = open_home(home, memory_limit=memory_limit, engine=engine)
    profile, since = load_profile("simulated"), date.fromisoformat(first) if first else START
    if first is None:
        for table in LABEL_TABLES:
            _forget(lake, table)
    else:
        _empty_days(settings, lake, since)
    with watched() as found:
        for build in (
            build_impressions,
            build_source_interest,
            build_group_consistency,
            build_icl_labels,
        ):
            with open_engine(settings, lake.home) as connection:
                build(connection, lake, profile, since, LAST)
    return found


def open_home(home: str, **given: Any) -> tuple[Settings, Lake]:
    """Returns the settings of a measurement, with those given, and the lake there."""
    settings = load_settings(**{"home": Path(home), "memory_limit": "8GB", "threads": 2, **given})
    return settings, Lake(settings.home_of("simulated"))


def _forget(lake: Lake, table: str) -> None:
    shutil.rmtree(lake.folder(table), ignore_errors=True)


def _empty_days(settings: Settings, lake: Lake, first: date) -> None:
    """Leaves the lake as it was before `first` had matured: those days without rows."""
    with connect(settings, lake.home) as connection:
        for table in LABEL_TABLES:
            lake.view(connection, table)
            connection.execute(f"create or replace temp table none as from {table} limit 0")
            lake.replace(connection, table, "none", days_between(first, LAST))
