"""The peer of the source-interest step: its columns in pandas, as well as pandas does them."""

from __future__ import annotations

from typing import Any

import duckdb
import pandas as pd

from exit_pipeline.bench.labels import open_home
from exit_pipeline.bench.measure import watched
from exit_pipeline.lake import connect, render

SOURCES = ("search", "channel")
COUNTS = ["n", "marked"]
TIMES = "datetime64[ns, UTC]"  # what `merge_asof` would make of others each time


def source_interest(home: str) -> dict[str, Any]:
    """Running counts before one moment less those before another, by `merge_asof`.

    Returns:
        What was measured, and `rows_equal`: whether every count is the one that the step wrote.
    """
    settings, lake = open_home(home)
    with connect(settings, lake.home) as connection:
        for table in ("events", "items", "impressions", "source_interest"):
            lake.view(connection, table)
        with watched() as found:
            columns = _columns(_rows(connection))
        ours = connection.sql("select * from source_interest").df().set_index("event_id")
    theirs = columns.set_index("event_id").loc[ours.index]
    counts = [name for name in theirs.columns if not name.startswith("last")]
    equal = all((ours[name] == theirs[name].astype(int)).all() for name in counts)
    return {**found, "rows_equal": int(equal)}


def _rows(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Exposures and source events by time; `key` numbers the pairs of a user and a unit.

    Joins and groups by numbers cost far less than by strings, so strings become numbers once.
    """
    rows = connection.sql(render("bench_pandas_rows")).df()
    rows["ts"] = rows["ts"].astype(TIMES)
    user, unit = (pd.factorize(rows.pop(name)) for name in ("user_id", "unit"))
    rows["key"] = user[0] * len(unit[1]) + unit[0]
    return rows.sort_values("ts")


def _columns(rows: pd.DataFrame) -> pd.DataFrame:
    shown = rows[rows["domain"] == "feed"].reset_index(drop=True)
    days = pd.Timedelta(days=1)
    own = _running(shown)
    mature = _before(shown, own, -2 * days)[COUNTS] - _before(shown, own, -14 * days)[COUNTS]
    columns = {
        "event_id": shown["event_id"],
        "own_shown": mature["n"],
        "own_responses": mature["marked"],
    }
    for source in SOURCES:
        events = _running(rows[rows["domain"] == source])
        # Both windows end or begin at the exposure: three joins give four ends.
        since, now, until = (_before(shown, events, shift * days) for shift in (-3, 0, 1))
        counted = now[COUNTS] - since[COUNTS]
        columns[f"count_{source}"] = counted["n"]
        columns[f"order_count_{source}"] = counted["marked"]
        columns[f"last_ts_{source}"] = now["last"].where(counted["n"] > 0)
        columns[f"ahead_{source}"] = until["n"] > now["n"]
    return pd.DataFrame(columns)


def _running(events: pd.DataFrame) -> pd.DataFrame:
    """By key and moment how many events there were, how many of them marked, and the last."""
    keys = events.groupby("key", sort=False)
    return pd.DataFrame(
        {"ts": events["ts"], "key": events["key"], "n": keys.cumcount() + 1,
         "marked": keys["marked"].cumsum(), "last": events["ts"]}
    )  # fmt: skip


def _before(shown: pd.DataFrame, running: pd.DataFrame, shift: pd.Timedelta) -> pd.DataFrame:
    """What had run up before each exposure's moment, shifted."""
    at = pd.DataFrame({"ts": shown["ts"] + shift, "key": shown["key"]})
    found = pd.merge_asof(at, running, on="ts", by="key", allow_exact_matches=False)
    return found.fillna({"n": 0, "marked": 0})
