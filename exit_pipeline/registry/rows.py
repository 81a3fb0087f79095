"""Where the rows are that a version was made from, and on which days they are others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from exit_pipeline.evaluation.rows import read_rows
from exit_pipeline.lake import DayState, Lake, connect, render
from exit_pipeline.lake.aside import other_lakes
from exit_pipeline.lake.states import day_states
from exit_pipeline.lake.table import days_between
from exit_pipeline.registry.differences import Difference
from exit_pipeline.registry.lineage import (
    TABLE,
    files_of,
    made_from,
    other_days,
    package_versions,
)
from exit_pipeline.registry.version import Version
from exit_pipeline.settings import Settings
from exit_pipeline.training import TrainedModel


def holder(lake: Lake, lineage: Mapping[str, Any]) -> Lake:
    """Returns the lake that has the recorded days: the present one, or one kept by `set_aside`.

    Where none has them it is the present one.
    """
    lakes = (lake, *other_lakes(lake))
    return next((one for one in lakes if not other_days(one, lineage)), lake)


def other_rows(settings: Settings, lake: Lake, lineage: Mapping[str, Any]) -> list[Difference]:
    """Returns the days whose rows are not the recorded ones; each with its hashes.

    The table's log says what was written. Where DuckDB hashes as it did then, rows are hashed where
    they lie, too, so that a changed file is found, and a day that was not there.
    """
    logged = other_days(lake, lineage)
    if logged or lineage["packages"]["duckdb"] != package_versions()["duckdb"]:
        return [Difference("rows", day, *pair) for day, pair in logged.items()]
    try:
        states = _states(settings, lake, lineage)
    except duckdb.Error as error:
        return [Difference("rows", TABLE, "readable", str(error).splitlines()[0])]
    pairs = {str(d): (lineage["days"].get(str(d), "empty"), s.hash) for d, s in states.items()}
    return [Difference("rows", day, *pair) for day, pair in pairs.items() if pair[0] != pair[1]]


def evaluation_rows(
    lake: Lake, found: Version, models: Iterable[TrainedModel], also: Iterable[str] = ()
) -> pa.Table:
    """Reads a version's evaluation part as it lay when it was trained; see `read_rows`."""
    lineage = made_from(found)
    files = files_of(lake, lineage["split"]["evaluation"], lineage["tables"][TABLE])
    return read_rows(files, models, also)


def _states(settings: Settings, lake: Lake, lineage: Mapping[str, Any]) -> dict[date, DayState]:
    days: list[date] = []
    files: list[str] = []
    for part in lineage["split"].values():
        days += days_between(*(date.fromisoformat(day) for day in part))
        files += files_of(lake, part, lineage["tables"][TABLE])
    with connect(settings, lake.home) as duck:
        rows = render("_files", files=files, partitions=lake.partitions(TABLE))
        duck.execute(f"create temp view rows as {rows}")
        return day_states(duck, "rows", "ds", days)
