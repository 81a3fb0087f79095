"""A world's tables, by the functions that the graph calls, and rows taken out of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.files import beside
from exit_pipeline.ingest import ingest_attributes, ingest_days, landed_days
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.lake.table import days_between
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings
from exit_pipeline.stages import build_stage


def build_tables(settings: Settings, lake: Lake, profile: Profile) -> None:
    """Builds every table of a finished log, all days at once; what stands already stays."""
    spec = profile.spec
    days = landed_days(profile, lake.home) or days_between(spec.start, spec.end or spec.start)
    build_landed(settings, lake, profile, days)


def build_landed(settings: Settings, lake: Lake, profile: Profile, days: Sequence[date]) -> None:
    """Builds every table as far as some landing days move it.

    Args:
        settings: Limits.
        lake: Gets the tables.
        profile: The data set.
        days: Days that follow each other; none brings rows of a day before it.
    """
    with connect(settings, lake.home) as connection:
        ingest_landed(connection, lake, profile, days)
        build_stage("training-set", connection, settings, lake, profile, min(days))


def ingest_landed(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, days: Sequence[date]
) -> None:
    """Reads attributes, and the events of some landing days."""
    for table in ("items", "users"):
        ingest_attributes(connection, lake, profile, table)
    for _ in ingest_days(connection, lake, profile, days):
        pass


def sorted_rows(settings: Settings, home: Home, files: Sequence[str], out: Path) -> None:
    """Writes the rows of some files by time and id, whole or not at all."""
    rows = render("_files", files=files, partitions=())
    columns = pq.read_schema(files[0]).names
    with connect(settings, home) as connection:
        write_rows(
            connection, render("training_rows", columns=columns, rows=rows, graded=()), {}, out
        )


def sample(
    settings: Settings, home: Home, files: Sequence[str], share: float,
    out: Path, held_out: tuple[str, str, date] | None = None,
) -> None:  # fmt: skip
    """Writes a share of training rows, by a hash of their ids: a smaller one is part of a larger.

    Args:
        settings: Limits.
        home: The world's.
        files: Of the training part.
        share: In (0, 1].
        out: The Parquet file.
        held_out: A column, and a value of it whose rows count from a day on.
    """
    column, value, since = held_out or (None, None, None)
    rows = render("_files", files=files, partitions=())
    sql = render("experiment_sample", rows=rows, column=column)
    bound = {"share": share, **({"value": value, "since": since} if column else {})}
    with connect(settings, home) as connection:
        write_rows(connection, sql, bound, out)


def write_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, bound: Mapping[str, Any], out: Path
) -> None:
    """Writes a query's rows, in its order, to one Parquet file, whole or not at all."""
    reader = connection.sql(sql, params=dict(bound)).to_arrow_reader()
    with parquet_writer(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


@contextmanager
def parquet_writer(out: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Opens a Parquet file that takes its name when all of it is written."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = beside(out)
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        yield writer
    os.replace(partial, out)
