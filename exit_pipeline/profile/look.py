"""Looks at Parquet files nobody has described yet: which tables, which columns play which part."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.errors import LandingError, UsageError
from exit_pipeline.lake.duck import render

MOST_FILES, MOST_ROWS = 32, 2_000_000
# Part → what such a column tends to be called, the surest name first.
ALIASES = {
    "user": "user_id user uid customer_id customer client_id member_id visitor_id account_id "
    "household_id",
    "item": "item_id item iid product_id product sku article_id listing_id content_id goods_id",
    "ts": "ts timestamp event_timestamp event_time time datetime date_time occurred_at created_at "
    "date",
    "kind": "event_type action event event_name type behavior behaviour interaction",
    "domain": "domain surface channel placement source page scenario app",
    "event_id": "event_id event_uuid uuid log_id id",
    "request_id": "request_id request req_id impression_id search_id session_id",
    "value": "value amount revenue price total gmv",
    "position": "position pos rank slot",
    "valid_from": "valid_from since effective_from updated_at created_at",
}
PLURALS = {"user": "users customers clients members visitors accounts households",
           "item": "items products articles listings goods catalogue catalog"}  # fmt: skip
_DAY = re.compile(r"(?:^|/)ds=(\d{4}-\d{2}-\d{2})(?:/|$)")


@dataclass(frozen=True)
class RawTable:
    """Parquet files that belong together.

    Args:
        name: An identifier; the adapter reads `raw_NAME`.
        pattern: The files as a glob under the landing place.
        files: All of them.
        columns: Name → DuckDB's type.
        rows: Number of rows.
    """

    name: str
    pattern: str
    files: list[Path]
    columns: dict[str, str]
    rows: int

    @property
    def by_day(self) -> bool:
        """Whether the files lie under `ds=` folders."""
        return "ds=" in self.pattern

    def roles(self, *wanted: str) -> dict[str, str]:
        """Returns the column that plays each part, where one does; no column plays two."""
        left = {identifier(column): column for column in self.columns}
        left.pop("ds", None)
        found = {}
        for role in wanted:
            alias = next((a for a in ALIASES[role].split() if a in left), None)
            if alias is None and "id" in left and self.name in PLURALS.get(role, "").split():
                alias = "id"
            if alias is not None:
                found[role] = left.pop(alias)
        return found


def identifier(text: str) -> str:
    """Turns any name into one that a profile lets in: `Product ID` and `productId` → product_id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return (name if name[:1].isalpha() else f"n_{name}")[:40]


def find_tables(connection: duckdb.DuckDBPyConnection, landing: Path) -> list[RawTable]:
    """Groups the Parquet files under a folder into tables.

    Raises:
        UsageError: There is no such folder, or two tables cannot be told apart by their names.
        LandingError: There is no Parquet file, or one cannot be read.
    """
    if not landing.is_dir():
        raise UsageError("there is no such folder", where=str(landing), mend="name a folder")
    files = [f for f in sorted(landing.rglob("*.parquet")) if not _hidden(f.relative_to(landing))]
    if not files:
        raise LandingError(
            "there is no Parquet file under this folder",
            where=str(landing),
            mend="export the log as Parquet, best under `events/ds=YYYY-MM-DD/`",
        )
    tables: list[RawTable] = []
    for pattern, members in _groups(landing, files):
        if set(members) != {f for f in landing.glob(pattern) if f.is_file()}:
            raise UsageError(
                "the files of two tables lie in one folder under names too alike",
                where=str(landing / pattern),
                mend="move each table into a folder of its own",
            )
        name = _unique(_name(pattern, landing), {table.name for table in tables})
        tables.append(_describe(connection, name, pattern, members))
    return tables


def look_at(connection: duckdb.DuckDBPyConnection, table: RawTable, *, whole: bool = False) -> None:
    """Makes the view `looked_at`: a bounded sample of a table, or all of its rows."""
    files = table.files if whole else _some(table.files)
    share = MOST_ROWS * len(table.files) / max(table.rows * len(files), 1)
    percent = 100 if whole or share >= 1 else max(round(100 * share, 2), 0.01)
    sql = render("draft_looked_at", files=[str(file) for file in files], percent=percent)
    connection.execute(f"create or replace temp view looked_at as {sql}")


def folder_days(table: RawTable) -> list[date]:
    """Returns the days named by the `ds=` folders of a table."""
    found = set()
    depth = len(Path(table.pattern).parts)  # folders above the landing place say nothing
    below = ("/".join(file.parts[-depth:]) for file in table.files)
    for match in filter(None, map(_DAY.search, below)):
        with suppress(ValueError):  # a folder that names no day lands none
            found.add(date.fromisoformat(match[1]))
    return sorted(found)


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _groups(landing: Path, files: list[Path]) -> Iterator[tuple[str, list[Path]]]:
    """Files of one folder (`ds=` and the like aside) and of names that differ only in numbers."""
    folders: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        parts = (re.sub("=.*", "=*", part) for part in file.parent.relative_to(landing).parts)
        folders[Path(*parts)][_stem(file.name)].append(file)
    for folder, stems in folders.items():
        alike = len({tuple(_schema(members[0]).names) for members in stems.values()}) == 1
        if alike and (len(stems) > 1 or folder != Path()):
            yield str(folder / "*.parquet"), [f for members in stems.values() for f in members]
        else:
            yield from ((str(folder / stem), members) for stem, members in stems.items())


def _stem(name: str) -> str:
    plain = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "*", name)
    return re.sub(r"[A-Za-z]*\d[A-Za-z0-9]*", "*", plain)


def _name(pattern: str, landing: Path) -> str:
    parts = [part for part in Path(pattern).parts if "=" not in part]
    parts[-1] = parts[-1].removesuffix(".parquet").replace("*", "").strip("-_.")
    return identifier("_".join(part for part in parts if part) or landing.name)


def _unique(name: str, taken: set[str]) -> str:
    return next(n for n in (name, *(f"{name[:36]}_{i}" for i in range(2, 999))) if n not in taken)


def _some(files: list[Path]) -> list[Path]:
    """The first file, the last, and evenly between them."""
    if len(files) <= MOST_FILES:
        return files
    return [files[i * (len(files) - 1) // (MOST_FILES - 1)] for i in range(MOST_FILES)]


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise LandingError(
            f"not a readable Parquet file: {str(error).splitlines()[0]}",
            where=str(file),
            mend="write the file again, whole, or move it away",
        ) from error


def _describe(
    connection: duckdb.DuckDBPyConnection, name: str, pattern: str, files: list[Path]
) -> RawTable:
    some = _some(files)
    for file in some:
        _schema(file)
    counted = sum(pq.read_metadata(file).num_rows for file in some)
    table = RawTable(name, pattern, files, {}, counted * len(files) // len(some))
    look_at(connection, table)
    columns = {n: kind for n, kind, *_ in connection.execute("describe looked_at").fetchall()}
    return RawTable(name, pattern, files, columns, table.rows)
