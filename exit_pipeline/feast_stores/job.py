"""A retrieval job: a query that is planned now and run, streamed or stored when asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView

from exit_pipeline.errors import UsageError
from exit_pipeline.files import beside

BATCH_ROWS = 131_072
Plan = Callable[[duckdb.DuckDBPyConnection], duckdb.DuckDBPyRelation]


class DuckDBRetrievalJob(RetrievalJob):
    """A planned query; each use opens its own in-memory DuckDB.

    Args:
        open_connection: Opens a DuckDB with the store's limits.
        plan: Puts the inputs into a connection and returns the query over them.
        metadata: What Feast records of a retrieval.
        full_feature_names: Whether columns are named `view__feature`.
        on_demand_feature_views: Views that Feast computes on the result.
    """

    def __init__(
        self,
        open_connection: Callable[[], duckdb.DuckDBPyConnection],
        plan: Plan,
        metadata: RetrievalMetadata | None = None,
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
    ) -> None:
        self._open, self._plan, self._metadata = open_connection, plan, metadata
        self._full_feature_names = full_feature_names
        self._on_demand = on_demand_feature_views or []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What Feast records of a retrieval."""
        return self._metadata

    @property
    def full_feature_names(self) -> bool:
        """Whether columns are named `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Views that Feast computes on the result."""
        return self._on_demand

    @contextmanager
    def _relation(self) -> Iterator[duckdb.DuckDBPyRelation]:
        with self._open() as connection:
            yield self._plan(connection)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with self._relation() as relation:
            return relation.to_arrow_table()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @contextmanager
    def stream(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatchReader]:
        """Streams the stored features of the result; memory stays within the store's limit.

        Raises:
            UsageError: On-demand views were asked for; they need the whole result (`to_arrow`).
        """
        if self._on_demand:
            raise UsageError(
                "on-demand views cannot be streamed", mend="use to_arrow, or leave them out"
            )
        with self._relation() as relation:
            yield relation.to_arrow_reader(rows)

    def to_parquet(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Writes the result to one Parquet file: streamed, and whole or not at all."""
        path = Path(path)
        if path.exists() and not overwrite:
            raise UsageError("the file is there already", where=str(path), mend="name another")
        partial = beside(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if self._on_demand:
                pq.write_table(self.to_arrow(), partial)
            else:
                with self.stream() as reader, pq.ParquetWriter(partial, reader.schema) as writer:
                    for batch in reader:
                        writer.write_batch(batch)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def persist(
        self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Writes the result where a Feast saved dataset says."""
        if not isinstance(storage, SavedDatasetFileStorage):
            raise UsageError(
                f"a {type(storage).__name__} cannot be written",
                mend="use SavedDatasetFileStorage(path=…)",
            )
        self.to_parquet(storage.file_options.uri, overwrite=allow_overwrite)
