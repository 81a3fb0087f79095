"""Delta tables whose days are replaced atomically, with row counts and content hashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.schema import ArrayType, PrimitiveType

from exit_pipeline import __version__
from exit_pipeline.errors import LakeError
from exit_pipeline.lake.commit import commit
from exit_pipeline.lake.duck import empty_sql, quoted, render
from exit_pipeline.lake.engine import Connection, Engine, in_duckdb
from exit_pipeline.lake.paths import check_folder, commits, is_table, table_files
from exit_pipeline.lake.remote import address, fetched, followed, names, remote
from exit_pipeline.lake.states import DayState, day_states, logged_states, whole_state
from exit_pipeline.lock import exclusive
from exit_pipeline.settings import Home

BATCH_ROWS = 131_072
LOCK_SECONDS = 120.0
LOCKS = ".locks"  # the folder of a lake that says who writes a table
# Events carry two days: the one that brought a row, by which they are replaced, and the one it
# belongs to, by which they are read.
PARTITIONS = {"events": ("known_on", "ds"), "quarantine": ("known_on",)}
UNPARTITIONED = frozenset({"items", "users"})
Filter = tuple[str, str, date]


def days_between(first: date, last: date) -> list[date]:
    """Returns the days from `first` to `last`, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def ranges_of(days: Sequence[date]) -> list[tuple[date, date]]:
    """Returns first and last of each range of days that follow each other, of days that rise."""
    gaps = [n for n, (a, b) in enumerate(pairwise(days), 1) if (b - a).days != 1]
    edges = [0, *gaps, len(days)]
    return [(days[a], days[b - 1]) for a, b in pairwise(edges) if a < b]


@dataclass(frozen=True)
class Lake:
    """The tables of one profile.

    Args:
        home: The profile's folders.
        run_id: Written into each commit, so that a table says which run made it.

    Raises:
        LakeError: The home's path has characters that the Delta library cannot open.
    """

    home: Home
    run_id: str = "by hand"
    inputs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_folder(self.home.lake)

    def folder(self, name: str) -> Path:
        """Returns the folder of a table; its log is the one of now, wherever the table lies."""
        return followed(self.home.lake / name)

    def tables(self) -> list[str]:
        """Returns the names of the tables that were ever written, sorted."""
        lake = self.home.lake
        found = names(lake) if remote(lake) else [folder.name for folder in lake.glob("[!.]*")]
        return sorted(name for name in found if self.exists(name))

    def partitions(self, name: str) -> tuple[str, ...]:
        """Returns the partition columns of a table; its days are replaced by the first."""
        return () if name in UNPARTITIONED else PARTITIONS.get(name, ("ds",))

    def open(self, name: str, version: int | None = None) -> DeltaTable:
        """Opens a table.

        Raises:
            LakeError: There is no such table, or no such version of it.
        """
        try:
            return DeltaTable(str(self.folder(name)), version=version)
        except (TableNotFoundError, DeltaError) as error:
            at = f" at version {version}" if version is not None else ""
            raise LakeError(
                f"the table {name!r} is not there{at}",
                where=address(self.home.lake / name),
                mend=f"materialize {name!r} first",
            ) from error

    def exists(self, name: str) -> bool:
        """Says whether a table was ever written."""
        return is_table(self.folder(name))

    def version(self, name: str) -> int:
        """Returns the newest version of a table, or −1 where there is none."""
        found = commits(self.folder(name))
        return int(found[-1].stem) if found else -1

    def columns(self, name: str) -> dict[str, str]:
        """Returns the columns of a table with their types; none where there is no table."""
        if not self.exists(name):
            return {}
        return {f.name: _type_name(f.type) for f in self.open(name).schema().fields}

    def files(
        self, name: str, filters: Sequence[Filter] = (), version: int | None = None
    ) -> list[str]:
        """Returns the Parquet files that hold the rows matching filters on partition columns."""
        predicate = [(column, sign, day.isoformat()) for column, sign, day in filters]
        return fetched(self.home.lake / name, table_files(self.open(name, version), predicate))

    def every_file(self, name: str) -> list[Path]:
        """Returns all Parquet files of a table, in whatever version, and what dead writers left."""
        folder = self.folder(name)
        if copied := remote(folder):
            copied.fetch()
        files = folder.glob("**/*.parquet")
        return sorted(file for file in files if "_delta_log" not in file.parts)

    def drop(self, name: str, file: Path) -> None:
        """Deletes a Parquet file of a table for good."""
        if copied := remote(self.home.lake / name):
            copied.drop(file)
        file.unlink(missing_ok=True)

    def view(
        self,
        connection: Connection,
        name: str,
        filters: Sequence[Filter] = (),
        *,
        alias: str | None = None,
        version: int | None = None,
    ) -> None:
        """Makes a view over a table's rows that match filters (see `scan`)."""
        if isinstance(connection, Engine):
            connection.view(alias or name, *self._read(name, filters, version))
            return
        sql = self.scan(name, filters, version)
        connection.execute(f"create or replace temp view {quoted(alias or name)} as {sql}")

    def scan(self, name: str, filters: Sequence[Filter] = (), version: int | None = None) -> str:
        """Returns a query over a table's rows that match filters on partition columns.

        The version read is kept in `inputs`, and so reaches the metadata of what is written next.
        """
        table, files = self._read(name, filters, version)
        if files:
            return render("_files", files=files, partitions=self.partitions(name))
        # Every file is pruned away: no row, and the same columns.
        return empty_sql(pa.schema(table.schema().to_arrow()))

    def _read(
        self, name: str, filters: Sequence[Filter], version: int | None
    ) -> tuple[DeltaTable, list[str]]:
        table = self.open(name, version)
        self.inputs[name] = table.version()
        return table, self.files(name, filters, table.version())

    def days(self, name: str) -> dict[date, DayState]:
        """Returns the state of every stored day, from the table's own commit metadata."""
        return logged_states(self.folder(name))

    def stored_rows(self, name: str, day: date) -> int:
        """Counts the rows of one day where they lie."""
        files = self.files(name, [(self.partitions(name)[0], "=", day)])
        return sum(pq.read_metadata(file).num_rows for file in files)

    def replace(
        self,
        connection: Connection,
        name: str,
        rows: str,
        days: Sequence[date],
    ) -> dict[date, DayState]:
        """Replaces whole days of a table atomically; a day that would not change is left alone.

        Args:
            connection: Where the new rows are.
            name: The table to write.
            rows: A temporary table with the new rows, all of them within `days`.
            days: The days to replace; one without rows ends up empty. Consecutive.

        Returns:
            The state of each day.

        Raises:
            LakeError: Another run is writing, or the columns changed since the table was made.
        """
        column = self.partitions(name)[0]
        with in_duckdb(connection, rows) as duck:
            states = day_states(duck, rows, column, days)
            with self.writing(name):
                seen, stored = self.version(name), self.days(name)
                if any(stored.get(day) != states[day] for day in days):
                    predicate = f"{column} >= '{min(days)}' and {column} <= '{max(days)}'"
                    self._write(duck, name, rows, states, predicate, seen)
        return states

    def replace_all(self, connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> DayState:
        """Replaces a table without days (items, users) if its content changed."""
        day, state = date.min, whole_state(connection, rows)
        with self.writing(name):
            seen, stored = self.version(name), self.days(name)
            if stored.get(day) != state:
                self._write(connection, name, rows, {day: state}, None, seen)
        return state

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        rows: str,
        states: dict[date, DayState],
        predicate: str | None,
        seen: int,
    ) -> None:
        told = {
            "run": self.run_id,
            "code": __version__,
            "inputs": json.dumps(self.inputs, sort_keys=True),
            "rows": str(sum(state.rows for state in states.values())),
            "days": json.dumps({d.isoformat(): [s.rows, s.hash] for d, s in states.items()}),
        }
        data = connection.sql(f"select * from {quoted(rows)}").to_arrow_reader(BATCH_ROWS)
        commit(self.home.lake / name, data, self.partitions(name), predicate, seen, told)

    def writing(self, name: str) -> AbstractContextManager[None]:
        """One writer of a table at a time, or one holder of a step that writes several."""
        lock = self.home.lake / LOCKS / name
        refusal = LakeError(
            f"another run has been writing {name!r} for {LOCK_SECONDS:.0f} s",
            where=str(lock),
            mend="wait for that run to end, then run again",
        )
        return exclusive(lock, LOCK_SECONDS, refusal)


def _type_name(kind: Any) -> str:
    if isinstance(kind, ArrayType):
        return f"list of {_type_name(kind.element_type)}"
    return kind.type if isinstance(kind, PrimitiveType) else str(kind)
