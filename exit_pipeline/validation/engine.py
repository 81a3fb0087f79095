"""Lets Great Expectations push its queries down into an in-memory DuckDB."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal
from uuid import uuid4

import sqlalchemy as sa
from great_expectations.compatibility.pydantic import PrivateAttr
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from sqlalchemy.pool import NullPool


class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):
    """Keeps its connection: as shipped, GX closes it before it fetches from DuckDB."""

    @contextmanager
    def get_connection(self) -> Generator[sa.Connection, None, None]:
        """Yields the one connection, which stays open."""
        if not self._connection:
            self._connection = self.engine.connect()
        yield self._connection


class DuckDBDatasource(SQLDatasource):
    """A data source over an in-memory DuckDB that was made ready before."""

    type: Literal["duckdb"] = "duckdb"  # type: ignore[assignment]
    _ready: Any = PrivateAttr(None)

    def use(self, engine: DuckDBExecutionEngine) -> None:
        """Sets the engine, in which the tables to validate are."""
        self._ready = engine

    def get_engine(self) -> sa.Engine:
        """Returns the engine that is ready."""
        return self._ready.engine

    def get_execution_engine(self) -> SqlAlchemyExecutionEngine:
        """Returns the execution engine that keeps its connection."""
        return self._ready

    def test_connection(self, test_assets: bool = True) -> None:
        """There is nothing to test: the engine is given, not reached."""


def in_memory_engine(memory_limit: str, threads: int, spill: str) -> DuckDBExecutionEngine:
    """Makes an execution engine over one in-memory DuckDB; its name lets GX connect twice."""
    config = {"memory_limit": memory_limit, "threads": threads, "temp_directory": spill}
    url = f"duckdb:///:memory:{uuid4().hex}"
    engine = sa.create_engine(url, connect_args={"config": config}, poolclass=NullPool)
    # The view is read where it lies; as shipped, GX would first copy all of it into a table.
    return DuckDBExecutionEngine(engine=engine, create_temp_table=False)
