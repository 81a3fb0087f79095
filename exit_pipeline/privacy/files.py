"""A person's rows out of files that are not tables: raw logs, what a service kept, what it took."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

from exit_pipeline.files import put_to_disk


def remove_from_parquet(files: Iterable[Path], user_id: str) -> tuple[int, list[Path]]:
    """Removes the rows of a person from Parquet files with a column `user_id`.

    Each file is replaced whole, in its order; one that ends up without rows stays, as a day
    without events is not a day that has not landed.

    Returns:
        How many rows went, and the files that cannot be read.
    """
    removed, broken = 0, []
    for file in files:
        try:
            removed += _rewrite(file, user_id) if _holds(file, user_id) else 0
        except (ArrowInvalid, OSError) as error:
            if getattr(error, "errno", None):  # the disk's fault, not the file's
                raise
            broken.append(file)
    return removed, broken


def remove_from_lines(files: Iterable[Path], user_id: str) -> int:
    """Removes the events of a person from files of JSON lines; returns how many.

    What a dying process left half written goes, too: it was never answered.
    """

    def goes(line: bytes) -> bool:
        return _half(line) or orjson.loads(line)["user_id"] == user_id

    gone = [line for file in files for line in _without(file, goes)]
    return sum(not _half(line) for line in gone)


def remove_failures(log: Path, named: re.Pattern[str]) -> int:
    """Removes failures whose reason names a person, and what is half written; returns how many."""
    return len(_without(log, lambda line: _names(line, named)))


def _half(line: bytes) -> bool:
    return not line.endswith(b"\n")


def _names(line: bytes, named: re.Pattern[str]) -> bool:
    try:
        return bool(named.search(orjson.loads(line).get("why", "")))
    except orjson.JSONDecodeError:
        return True


def _holds(file: Path, user_id: str) -> bool:
    source = pq.ParquetFile(file)
    if "user_id" not in source.schema_arrow.names:
        return False
    batches = source.iter_batches(columns=["user_id"])
    return any(pc.any(_theirs(batch, user_id)).as_py() for batch in batches)


def _rewrite(file: Path, user_id: str) -> int:
    source, partial, removed = pq.ParquetFile(file), file.with_name(f".{file.name}.partial"), 0
    try:
        with pq.ParquetWriter(partial, source.schema_arrow) as out:
            for batch in source.iter_batches():
                kept = batch.filter(pc.invert(_theirs(batch, user_id)))
                removed += batch.num_rows - kept.num_rows
                out.write_batch(kept)
        put_to_disk(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    return removed


def _theirs(batch: pa.RecordBatch, user_id: str) -> pa.Array:
    same = pc.equal(batch.column("user_id").cast(pa.string()), pa.scalar(user_id))
    return pc.fill_null(same, False)


def _without(file: Path, goes: Callable[[bytes], bool]) -> list[bytes]:
    """Rewrites a file without the lines that go, where there are any; returns those."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    gone = [line for line in lines if goes(line)]
    if gone:
        partial = file.with_suffix(".partial")
        partial.write_bytes(b"".join(line for line in lines if not goes(line)))
        put_to_disk(partial, file)
    return gone
