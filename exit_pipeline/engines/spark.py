"""Spark as an engine: a local session, or the one that runs in this process."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable

from exit_pipeline.engines.dialect import to_spark
from exit_pipeline.errors import SettingsError
from exit_pipeline.lake.duck import open_duckdb, quoted, render
from exit_pipeline.lake.engine import Engine
from exit_pipeline.lake.limits import ran_out
from exit_pipeline.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_UNITS = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}
# What decides over values, so it holds in a session that others made too.
_MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


class SparkEngine(Engine):
    """Fills tables with Spark; each is Parquet in a folder of its own.

    Args:
        session: Of its own: names of tables are the session's.
        settings: Memory limit and threads of the DuckDB that takes over what was made.
        scratch: The folder of the tables.
    """

    def __init__(self, session: SparkSession, settings: Settings, scratch: Path) -> None:
        self._session, self._settings, self._scratch = session, settings, scratch
        self._folders: dict[str, Path] = {}
        self._made = 0

    def view(self, name: str, table: DeltaTable, files: Sequence[str]) -> None:
        """Gives the rows of some Parquet files of a table a name.

        A Delta table's schema is written as Spark writes its own.
        """
        from pyspark.sql.types import StructType

        schema = StructType.fromJson(json.loads(table.schema().to_json()))
        if files:
            folder = unquote(table.table_uri.removeprefix("file://"))
            read = self._session.read.schema(schema).option("basePath", folder)
            rows = read.parquet(*map(_exact, files))
        else:
            rows = self._session.createDataFrame([], schema)
        rows.createOrReplaceTempView(name)

    def fill(self, name: str, sql: str, values: Mapping[str, Any]) -> None:
        """Makes or replaces a temporary table.

        Raises:
            LakeError: Memory or disk ran out.
        """
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        self._made += 1
        folder = self._scratch / f"{self._made}-{name}"
        try:
            rows = self._session.sql(to_spark(sql, values))
            rows.write.parquet(str(folder))
        except (PySparkException, Py4JError) as error:
            if refusal := ran_out(error, name):
                raise refusal from error
            raise
        made = self._session.read.schema(rows.schema).parquet(_exact(str(folder)))
        made.createOrReplaceTempView(name)
        self._folders[name] = folder

    @contextmanager
    def in_duckdb(self, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens a DuckDB in which a temporary table is a view."""
        files = sorted(str(file) for file in self._folders[name].glob("*.parquet"))
        limits = self._settings.memory_limit, self._settings.threads
        with open_duckdb(*limits, self._scratch) as connection:
            rows = render("_files", files=files, partitions=())
            connection.execute(f"create temp view {quoted(name)} as {rows}")
            yield connection


@contextmanager
def spark_engine(settings: Settings, scratch: Path) -> Iterator[SparkEngine]:
    """Starts Spark, or uses the session that runs in this process, and stops what it started.

    Args:
        settings: Threads and memory limit, of a local session too.
        scratch: Folder for tables and for what does not fit into memory.

    Raises:
        SettingsError: Spark does not start.
    """
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    session = running or _start(settings, scratch)
    own = session.newSession()
    for name, value in _MEANING.items():
        own.conf.set(name, value)
    try:
        yield SparkEngine(own, settings, scratch)
    finally:
        if not running:
            session.stop()


def _start(settings: Settings, scratch: Path) -> SparkSession:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    options = {
        "spark.master": f"local[{settings.threads}]",
        "spark.driver.memory": f"{_megabytes(settings.memory_limit)}m",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(scratch),
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": str(8 * settings.threads),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.appName("exit-pipeline")
    for name, value in options.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        raise SettingsError(
            f"Spark does not start: {str(error).splitlines()[0]}",
            where="EXIT_ENGINE or --engine",
            mend="lower EXIT_MEMORY_LIMIT if memory is short; or choose the engine duckdb",
        ) from error


def _megabytes(limit: str) -> int:
    number, unit = re.fullmatch(r"([\d.]+)\s?([KMGT])i?B", limit).groups()  # type: ignore[union-attr]
    return max(512, int(float(number) * _UNITS[unit]))


def _exact(path: str) -> str:
    """Returns the pattern of Hadoop that matches one path and nothing else."""
    return re.sub(r"[{}*?\[\]\\]", r"\\\g<0>", path)
