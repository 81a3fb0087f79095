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
                "stage": (f"{HERE}:stage", {"home": one}),
                "stage_double": (f"{HERE}:stage", {"home": two}),
                "double_1gb": (f"{HERE}:stage", {"home": two, "memory_limit": "1GB"}),
                "day": (f"{HERE}:stage", {"home": one, "first": str(LAST)}),
            },
            repeats,
        )
        peer = measure({"pandas": (f"{HERE}:pandas_asof", {"home": one})}, 1)["pandas"]
    cpu = {name: told["cpu_s"] for name, told in found.items()}
    return report(
        "labels",
        {"rows": rows, "days": DAYS, "repeats": repeats},
        {name: told for name, told in found.items() if name != "floor"},
        found["floor"],
        {"pandas": peer},
        {
            "floor": cpu["source_interest"] / cpu["floor"],
            "stage_floor": cpu["stage"] / cpu["floor"],
            "growth_40m_20m": cpu["stage_double"] / cpu["stage"],
            "memory_1gb": cpu["double_1gb"] / cpu["stage_double"],
            "speedup_pandas": peer["cpu_s"] / cpu["source_interest"],
            "increment": cpu["day"] / (cpu["stage"] / (DAYS - 1)),
        },
        {"rss_mb_1gb": found["double_1gb"]["rss_mb"], "rows_equal_pandas": peer["rows_equal"]},
    )


def prepare(home: str, rows: int) -> None:
    """Makes a lake with `rows` events, their items and users."""
    settings, lake = _open(home)
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
    settings, lake = _open(home)
    with connect(settings, lake.home) as connection, watched() as found:
        lake.view(connection, "events")
        lake.view(connection, "items")
        connection.execute(render("bench_labels_floor"))
    return found


def source_interest(home: str) -> dict[str, float]:
    """The source-interest step, as the pipeline runs it, over every mature day."""
    settings, lake = _open(home)
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
    settings, lake = _open(home, memory_limit=memory_limit, engine=engine)
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


def pandas_asof(home: str) -> dict[str, float]:
    """The same columns in pandas: running counts before one moment less those before another.

    Returns:
        What was measured, and `rows_equal`: whether every count is the one that the step wrote.
    """
    import pandas as pd

    settings, lake = _open(home)
    with connect(settings, lake.home) as connection:
        for table in ("events", "items", "impressions", "source_interest"):
            lake.view(connection, table)
        with watched() as found:
            rows = connection.sql(render("bench_pandas_rows")).df()
            rows["ts"] = rows["ts"].astype("datetime64[us, UTC]")
            rows = rows.sort_values("ts")
            shown = rows[rows["domain"] == "feed"].reset_index(drop=True)
            days = pd.Timedelta(days=1)
            own = _between(pd, shown, shown, 14 * days, -2 * days)
            columns = {"own_shown": own["n"], "own_responses": own["marked"]}
            for source in ("search", "channel"):
                events = rows[rows["domain"] == source]
                before = _between(pd, shown, events, 3 * days, 0 * days)
                columns[f"count_{source}"] = before["n"]
                columns[f"order_count_{source}"] = before["marked"]
                columns[f"last_ts_{source}"] = before["last"].where(before["n"] > 0)
                columns[f"ahead_{source}"] = _between(pd, shown, events, 0 * days, days)["n"] > 0
        ours = connection.sql("select * from source_interest").df().set_index("event_id")
        theirs = pd.DataFrame(columns).set_index(shown["event_id"]).loc[ours.index]
    counts = [name for name in columns if not name.startswith("last")]
    equal = all((ours[name] == theirs[name].astype(int)).all() for name in counts)
    return {**found, "rows_equal": int(equal)}


def _between(pd: Any, shown: Any, events: Any, back: Any, ahead: Any) -> Any:
    """Counts of `events` in [t − back, t + ahead) for each row of `shown`, and the last time."""
    running = events[["ts", "key"]].copy()
    running["n"] = running.groupby("key").cumcount() + 1
    running["marked"] = events.groupby("key")["marked"].cumsum()
    running["last"] = running["ts"]
    until, since = (
        pd.merge_asof(
            shown[["ts", "key"]].assign(ts=(shown["ts"] + shift).astype("datetime64[us, UTC]")),
            running, on="ts", by="key", allow_exact_matches=False,
        )
        for shift in (ahead, -back)
    )  # fmt: skip
    counted = until[["n", "marked"]].fillna(0) - since[["n", "marked"]].fillna(0)
    return counted.assign(last=until["last"])


def _open(home: str, **given: Any) -> tuple[Settings, Lake]:
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
