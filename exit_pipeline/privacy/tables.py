"""A person's rows out of the lake: out of the newest version, and every file of older ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

from exit_pipeline.lake import Lake, connect, create_table, render
from exit_pipeline.lake.limits import ran_out
from exit_pipeline.lake.states import day_states, whole_state
from exit_pipeline.lake.table import Filter
from exit_pipeline.settings import Settings
from exit_pipeline.validation.verdicts import carry_verdicts

THEIRS = "user_id in (from person)"
# How rows are told to be someone's where no column `user_id` does.
OTHERWISE = {
    "quarantine": "json_extract_string(raw, '$.user_id') in (from person)",
    "source_interest": "(ds, event_id) in (from their_events)",
}


def remove_rows(
    settings: Settings, lake: Lake, user_id: str
) -> tuple[dict[str, int], dict[str, str]]:
    """Removes a person's rows from every table, day by day, each day atomically.

    Files that no longer belong to a table's newest version are deleted if they hold such rows, so
    older versions that they belonged to cannot be read on those days any more. A table of which a
    file is damaged is left from there on; the others are not.

    Args:
        settings: Threads and memory.
        lake: Whose tables.
        user_id: Whose rows.

    Returns:
        By table the rows that were removed from its newest version, and the older files deleted;
        by table that cannot be read, why, with the files.

    Raises:
        LakeError: Another run has been writing a table for long, or memory or disk ran out.
    """
    # What hangs on the impressions goes first: after a kill they still say which events it was.
    names = sorted(lake.tables(), key=lambda name: (name != "source_interest", name))
    removed, broken = dict[str, int](), dict[str, str]()
    with connect(settings, lake.home) as connection:
        connection.execute("create temp table person as select $user as user_id", {"user": user_id})
        for name in names:
            if name == "impressions" and "source_interest" in broken:
                broken[name] = "it is kept, as it tells which rows of source_interest are theirs"
                continue
            try:
                removed |= _remove(connection, lake, name)
            except duckdb.Error as error:
                if refusal := ran_out(error, str(lake.folder(name))):
                    raise refusal from error
                damaged = _damaged(lake, name)
                if not damaged:
                    raise
                broken[name] = "; ".join([str(error).splitlines()[0], *damaged])
    return removed, broken


def _remove(connection: duckdb.DuckDBPyConnection, lake: Lake, name: str) -> dict[str, int]:
    theirs = OTHERWISE.get(name, THEIRS if "user_id" in lake.columns(name) else "")
    if not theirs:
        return {}
    if name == "source_interest":
        _their_events(connection, lake)
    rows = _newest(connection, lake, name, theirs)
    old = _older(connection, lake, name, theirs)
    return {place: n for place, n in ((name, rows), (f"{name} (old files)", old)) if n}


def _their_events(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    files = _files(lake, "impressions")
    if files:
        create_table(connection, "their_events", "person_events", {}, files=files)
    else:
        connection.execute("create temp table their_events (ds date, event_id varchar)")


def _newest(connection: duckdb.DuckDBPyConnection, lake: Lake, name: str, theirs: str) -> int:
    """Writes the days that hold their rows anew; returns how many rows went."""
    key = next(iter(lake.partitions(name)), None)
    if not _rows(connection, lake, name):
        return 0
    days = connection.execute(render("person_days", day=key, theirs=theirs)).fetchall()
    before, writer = lake.days(name), Lake(lake.home, lake.run_id, _inputs(lake, name))
    for day, _ in days:
        _rows(connection, lake, name, [(key, "=", day)] if key else [])
        create_table(connection, "kept", "person_kept", {}, theirs=theirs)
        # What checks said goes first: after a kill it holds as soon as the rows are written.
        if key:
            after = day_states(connection, "kept", key, [day])[day]
            carry_verdicts(lake.home, name, day, before[day], after)
            writer.replace(connection, name, "kept", [day])
        else:
            carry_verdicts(lake.home, name, day, before[day], whole_state(connection, "kept"))
            writer.replace_all(connection, name, "kept")
    return sum(rows for _, rows in days)


def _older(connection: duckdb.DuckDBPyConnection, lake: Lake, name: str, theirs: str) -> int:
    """Deletes their files that no longer belong to the table; returns how many."""
    present = set(lake.files(name))
    old = [file for file in _files(lake, name) if file not in present]
    if not old:
        return 0
    sql = render("person_files", files=old, theirs=theirs)
    found = connection.execute(sql).fetchall()
    for (file,) in found:
        lake.drop(name, Path(file))
    return len(found)


def _rows(
    connection: duckdb.DuckDBPyConnection, lake: Lake, name: str, filters: Sequence[Filter] = ()
) -> bool:
    """Makes the view `rows` over a table; says whether it has any file."""
    files = lake.files(name, filters)
    if files:
        sql = render("_files", files=files, partitions=lake.partitions(name))
        connection.execute(f"create or replace temp view rows as {sql}")
    return bool(files)


def _inputs(lake: Lake, name: str) -> dict[str, int]:
    """What the newest commit says that the table was made from, as this does not change it."""
    return json.loads(lake.open(name).history(1)[0].get("inputs", "{}"))


def _files(lake: Lake, name: str) -> list[str]:
    """Every Parquet file of a table, in any version; what a dying writer left is removed.

    One that belongs to the newest version stays, damaged or not: it is not ours to drop.
    """
    whole = set(lake.files(name)) if lake.exists(name) else set[str]()
    for file in lake.every_file(name):
        if str(file) in whole:
            continue
        if _is_whole(file):
            whole.add(str(file))
        else:
            lake.drop(name, file)
    return sorted(whole)


def _damaged(lake: Lake, name: str) -> list[str]:
    """The files that a table's rows are told from and that cannot be read; DuckDB may not say."""
    tables = ("impressions", name) if name == "source_interest" else (name,)
    listed = [file for table in tables for file in lake.files(table)]
    paths = [Path(file) for file in listed]
    return [str(path) for path in paths if not (path.exists() and _is_whole(path, pages=True))]


def _is_whole(file: Path, *, pages: bool = False) -> bool:
    try:
        with pq.ParquetFile(file) as source:
            for _ in source.iter_batches() if pages else ():
                pass
    except (ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None):  # the disk's fault, not the file's
            raise
        return False
    return True
