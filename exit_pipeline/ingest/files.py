"""Checks raw Parquet files before they are read: whole, and of the same columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.errors import ContractError, LandingError

# What ingestion adds to a raw table, and DuckDB's own names for it.
RESERVED = frozenset({"file", "row", "filename", "file_row_number", "file_index"})
# A file without rows that declares columns which the files beside it may lack.
DECLARED = ".declared.parquet"


def agreed_columns(files: Sequence[Path]) -> dict[str, pa.DataType]:
    """Returns the columns of files that are read as one table, with their kinds.

    Files of different columns would be merged without a word: a column that one of them lacks
    would be null, and a time without zone would become one in UTC. Where one declares columns
    (`DECLARED`), that is what is wanted.

    Raises:
        LandingError: A file is empty, truncated or not Parquet.
        ContractError: Names or types differ between files, or a name is reserved.
    """
    kinds: dict[str, pa.DataType] = {}
    may_lack = any(file.name == DECLARED for file in files)
    for file in files:
        found = {field.name: _kind(field.type) for field in schema_of(file)}
        if reserved := RESERVED & {name.lower() for name in found}:
            raise _unfit(file, f"column {min(reserved)!r} has a name that ingestion uses itself")
        if kinds and not may_lack and (differing := kinds.keys() ^ found.keys()):
            name = min(differing)
            has, lacks = (file, files[0]) if name in found else (files[0], file)
            raise _unfit(lacks, f"column {name!r} is missing, which {has.name} has")
        for name, kind in found.items():
            known = kinds.setdefault(name, kind)
            if known == pa.null():  # an all-null column has no type of its own
                kinds[name] = kind
            elif kind not in (known, pa.null()):
                raise _unfit(file, f"column {name!r} is {kind}, and {known} in earlier files")
    return kinds


def schema_of(file: Path) -> pa.Schema:
    """Reads the schema of a raw file.

    Raises:
        LandingError: The file is empty, truncated or not Parquet.
    """
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        size = file.stat().st_size if file.exists() else 0
        raise LandingError(
            f"not a readable Parquet file ({size} bytes): {str(error).splitlines()[0]}",
            where=_told(file),
            mend="land the file again, whole; it may still be being written",
        ) from error


def _kind(kind: pa.DataType) -> pa.DataType:
    """What of a type matters: not its width, unit or encoding, but whether a time has a zone."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    for is_such, one in (
        (pa.types.is_integer, pa.int64()),
        (pa.types.is_floating, pa.float64()),
        (pa.types.is_decimal, pa.decimal128(38, 0)),
        (pa.types.is_large_string, pa.string()),
        (pa.types.is_string_view, pa.string()),
    ):
        if is_such(kind):
            return one
    return kind


def _told(file: Path) -> str:
    """The file itself, where what is read is a link to it."""
    return str(file.readlink() if file.is_symlink() else file)


def _unfit(file: Path, what: str) -> ContractError:
    return ContractError(
        what,
        where=_told(file),
        mend="write the files of one table with the same columns, and rename reserved ones",
    )
