"""How a Feast data source is read by DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource, PushSource
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig

from exit_pipeline.errors import LandingError, UsageError
from exit_pipeline.feast_stores.source import DeltaSource
from exit_pipeline.lake.duck import empty_sql, render

GLOB = "**/*.parquet"
# By which a join tells rows of a source apart (`sql/_files.sql`, `sql/feast_view.sql`).
OWN = ("__id", "__ts", "__order", "__created", "__available", "file_index", "file_row_number")


def scan_sql(source: DataSource, config: RepoConfig, *, numbered: bool = False) -> str:
    """Returns a query over all rows of a source; if `numbered`, `__id` tells them apart.

    Raises:
        UsageError: The source is of a kind that this store does not read, or elsewhere.
        LandingError: A Parquet source has no file.
        LakeError: A Delta source has no table, or one with deletion vectors.
    """
    if isinstance(source, PushSource) and source.batch_source is not None:
        source = source.batch_source
    if isinstance(source, DeltaSource):
        source = source.at(config.offline_store.versions.get(source.name, source.version))
        table, files = source.open(), source.files()
        partitions = table.metadata().partition_columns
        schema = pa.schema(table.schema().to_arrow())
        if odd := [name for name in partitions if schema.field(name).type != pa.date32()]:
            raise UsageError(
                f"the table of {source.name!r} is partitioned by {odd[0]!r}, which is no date",
                where=source.path,
                mend="partition it by dates, or not at all",
            )
        if numbered:
            _check_names(source, schema.names)
        if files:
            return render("_files", files=files, partitions=partitions, numbered=numbered)
        return empty_sql(schema.append(pa.field("__id", pa.int64())) if numbered else schema)
    if isinstance(source, FileSource):
        files = _parquet(source, config)
        if numbered:
            _check_names(source, pq.read_schema(files[0]).names)
        return render("_files", files=files, partitions=(), numbered=numbered)
    raise UsageError(
        f"this store does not read a {type(source).__name__}",
        where=source.name,
        mend="use DeltaSource, or FileSource over Parquet",
    )


def _check_names(source: DataSource, names: Sequence[str]) -> None:
    taken = [name for name in names if name.casefold() in OWN]
    if taken:
        raise UsageError(
            f"the source {source.name!r} has columns named as those that a join adds: "
            f"{', '.join(taken)}",
            where=f"columns: {', '.join(names)}",
            mend="rename them where they are written",
        )


def _parquet(source: FileSource, config: RepoConfig) -> list[str]:
    if "://" in source.path:
        raise UsageError(
            f"the source {source.name!r} is not on this machine",
            where=source.path,
            mend="use DeltaSource, or FileSource over Parquet in a folder here",
        )
    path = Path(config.repo_path or ".") / source.path
    if path.is_file():
        return [str(path)]
    # Only what is below a folder that is there can be a pattern; its own name is a name.
    root = next(folder for folder in (path, *path.parents) if folder.is_dir())
    pattern = path.relative_to(root)
    files = sorted(str(file) for file in root.glob(str(pattern if pattern.parts else GLOB)))
    if not files:
        raise LandingError(
            f"the source {source.name!r} has no Parquet file",
            where=str(path),
            mend="write it first",
        )
    return files
