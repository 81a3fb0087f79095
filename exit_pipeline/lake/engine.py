"""What an engine other than DuckDB must do to fill tables from the SQL files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import duckdb
from deltalake import DeltaTable


class Engine(ABC):
    """Reads files of Delta tables and runs SQL; what it made is written by way of DuckDB.

    So one code counts, hashes and replaces days, whatever engine made the rows.
    """

    sum_bits = 64

    @abstractmethod
    def view(self, name: str, table: DeltaTable, files: Sequence[str]) -> None:
        """Gives the rows of some Parquet files of a table a name."""

    @abstractmethod
    def fill(self, name: str, sql: str, values: Mapping[str, Any]) -> None:
        """Makes or replaces a temporary table.

        Args:
            name: The table.
            sql: A query in DuckDB's dialect.
            values: Bound to its `$name` parameters.
        """

    @abstractmethod
    def in_duckdb(self, name: str) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Opens a DuckDB in which a temporary table is a view."""


Connection: TypeAlias = duckdb.DuckDBPyConnection | Engine


def in_duckdb(
    connection: Connection, name: str
) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Opens a DuckDB in which a temporary table of the connection is."""
    if isinstance(connection, Engine):
        return connection.in_duckdb(name)
    return nullcontext(connection)
