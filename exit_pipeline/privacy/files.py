"""A person's rows out of files that are not tables: raw logs, what a service kept, what it took."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

from exit_pipeline.files import put_to_disk
from exit_pipeline.lake import connect, render
from exit_pipeline.lake.limits import ran_out
from exit_pipeline.settings import Home, Settings


def remove_from_parquet(
    settings: Settings, home: Home, files: Iterable[Path], user_id: str
) -> tuple[int, list[Path]]:
    """Removes the rows of a person from Parquet files with a column `user_id`.

    Each file is replaced whole, in its order; one that ends up without rows stays, as a day
    without events is not a day that has not landed.

    Args:
        settings: Threads and memory.
        home: Where DuckDB spills.
        files: The files.
        user_id: The person's, as ingestion reads it.

    Returns:
        How many rows went, and the files that cannot be read.

    Raises:
        LakeError: Memory or disk ran out.
    """
    removed, broken = 0, []
    with connect(settings, home) as connection:
        for file in files:
            try:
                theirs = _theirs(connection, file, user_id)
                if len(theirs):
                    _rewrite(file, theirs)
            except (ArrowInvalid, OSError, duckdb.Error) as error:
                if refusal := ran_out(error, str(file)):
                    raise refusal from error
                if getattr(error, "errno", None):  # the disk's fault, not the file's
                    raise
                broken.append(file)
            else:
                removed += len(theirs)
    return removed, broken


def remove_from_lines(files: Iterable[Path], user_id: str) -> int:
    """Removes the events of a person from files of JSON lines; returns how many.

    What a dying process left half written goes, too: it was never answered. So does any other line
    that cannot be read: nobody can say whose it is.
    """

    def goes(line: bytes) -> bool:
        return _whose(line) in (None, user_id)

    gone = [line for file in files for line in _without(file, goes)]
    return sum(_whose(line) is not None for line in gone)


def remove_failures(log: Path, named: re.Pattern[str]) -> int:
    """Removes failures whose reason names a person, and what is half written; returns how many."""
    return len(_without(log, lambda line: _names(line, named)))


def _whose(line: bytes) -> str | None:
    try:
        return orjson.loads(line)["user_id"] if line.endswith(b"\n") else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _names(line: bytes, named: re.Pattern[str]) -> bool:
    try:
        return bool(named.search(orjson.loads(line).get("why", "")))
    except orjson.JSONDecodeError:
        return True


def _theirs(connection: duckdb.DuckDBPyConnection, file: Path, user_id: str) -> pa.Array:
    """Where their rows stand in a file, as DuckDB reads ids: Arrow writes numbers otherwise."""
    if "user_id" not in pq.read_schema(file).names:
        return pa.array([], pa.int64())
    found = connection.sql(render("person_raw", file=str(file)), params={"user": user_id})
    return found.to_arrow_table()["file_row_number"].combine_chunks()


def _rewrite(file: Path, theirs: pa.Array) -> None:
    source, partial, done = pq.ParquetFile(file), file.with_name(f".{file.name}.partial"), 0
    try:
        with pq.ParquetWriter(partial, source.schema_arrow) as out:
            for batch in source.iter_batches():
                numbers = pa.array(range(done, done := done + batch.num_rows), pa.int64())
                out.write_batch(batch.filter(pc.invert(pc.is_in(numbers, theirs))))
        put_to_disk(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _without(file: Path, goes: Callable[[bytes], bool]) -> list[bytes]:
    """Rewrites a file without the lines that go, where there are any; returns those."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    gone = [line for line in lines if goes(line)]
    if gone:
        partial = file.with_suffix(".partial")
        partial.write_bytes(b"".join(line for line in lines if not goes(line)))
        put_to_disk(partial, file)
    return gone
