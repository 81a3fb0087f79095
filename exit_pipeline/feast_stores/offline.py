"""A Feast offline store: point-in-time joins as DuckDB ASOF joins over Delta or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import Field

from exit_pipeline.errors import LakeError, UsageError
from exit_pipeline.feast_stores.job import DuckDBRetrievalJob
from exit_pipeline.feast_stores.join import View, entity_columns, make_entity, make_views
from exit_pipeline.feast_stores.scan import scan_sql
from exit_pipeline.feast_stores.source import DeltaSource
from exit_pipeline.lake.duck import open_duckdb, render
from exit_pipeline.lake.remote import address, followed, options, remote
from exit_pipeline.lake.states import DayState, logged_states
from exit_pipeline.lake.table import LOCK_SECONDS, LOCKS
from exit_pipeline.lock import exclusive


class DuckDBAsofOfflineStoreConfig(FeastConfigBaseModel):
    """Settings of the store in `feature_store.yaml`.

    Args:
        memory_limit: DuckDB's.
        threads: DuckDB's.
        spill_directory: Gets what does not fit into memory.
        versions: Of Delta sources, by their name, which to read; the newest of the others.
    """

    type: Literal["exit_pipeline.feast_stores.offline.DuckDBAsofOfflineStore"] = (
        "exit_pipeline.feast_stores.offline.DuckDBAsofOfflineStore"
    )
    memory_limit: str = "4GB"
    threads: int = 2
    spill_directory: str | None = None
    versions: dict[str, int] = Field(default_factory=dict)


class DuckDBAsofOfflineStore(OfflineStore):
    """Joins features as they were known at each entity row's time.

    Entity rows keep their order, and every one of them is in the result. An entity table is a
    DataFrame, an Arrow table, the path (or glob) of Parquet files, or an SQL query.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | pa.Table | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **_: Any,
    ) -> DuckDBRetrievalJob:
        """Plans a point-in-time join; see Feast's `OfflineStore.get_historical_features`.

        With `filter_by_created_timestamp`, a feature row counts from the later of its event time
        and its created time, so that a correction never reaches an earlier entity row.

        Raises:
            UsageError: The entity table lacks `event_timestamp` or a join key.
        """
        if entity_df is None:
            raise UsageError("an entity table is needed", mend="pass entity_df")
        views = make_views(
            config, feature_views, feature_refs, full_feature_names, filter_by_created_timestamp
        )
        open_connection = _opener(config)
        with open_connection() as connection:
            columns = entity_columns(connection, entity_df, views)

        def plan(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
            make_entity(connection, entity_df)
            span = connection.sql("select epoch_us(min(__at)), epoch_us(max(__at)) from entity")
            first, last = span.fetchall()[0]
            for view in views:
                _find(connection, view, view.steps(first, last))
            return connection.sql(render("feast_asof", columns=columns, views=views))

        keys = [column for view in views for _, column in view.keys]
        return DuckDBRetrievalJob(
            open_connection,
            plan,
            RetrievalMetadata(features=feature_refs, keys=list(dict.fromkeys(keys))),
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> DuckDBRetrievalJob:
        """Plans the newest row per key in [start, end]: what materialization writes."""
        return _range(
            config,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
            start_date,
            end_date,
            latest=True,
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> DuckDBRetrievalJob:
        """Plans every row in [start, end]."""
        return _range(
            config,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
            start_date,
            end_date,
            latest=False,
        )

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Appends rows to the Delta table of a view, atomically.

        Raises:
            UsageError: The view is not over a Delta table.
            LakeError: The table is the lake's, and a run has been writing it for long.
        """
        source = feature_view.batch_source
        if not isinstance(source, DeltaSource):
            raise UsageError(
                f"rows of {feature_view.name!r} cannot be appended",
                where=type(source).__name__,
                mend="only views over a DeltaSource take rows",
            )
        folder = Path(source.path)
        with _only_writer(folder):
            told = _changed_days(followed(folder), table) if _of_a_lake(folder) else None
            write_deltalake(
                address(folder) if remote(folder) else source.path,
                table,
                mode="append",
                commit_properties=told,
                storage_options=options(),
            )
        if progress:
            progress(table.num_rows)


def _find(connection: duckdb.DuckDBPyConnection, view: View, steps: Mapping[str, str]) -> None:
    """Makes the table `f0`, `f1`, … of what a view knows of each entity row.

    Raises:
        LakeError: The view's files were replaced meanwhile.
    """
    for letter, query in steps.items():
        kind = "view" if letter == "v" else "table"
        connection.execute(f"create temp {kind} {letter}{view.number} as {query}")
    m, f = (connection.table(f"{letter}{view.number}").shape[0] for letter in "mf")
    if m != f:
        raise LakeError(
            f"the files of {view.name!r} were replaced while they were read",
            where=f"{m - f} of {m} rows are others now",
            mend="join again",
        )
    connection.execute(f"drop table m{view.number}")


def _only_writer(table: Path) -> AbstractContextManager[None]:
    """The lock that the lake's own writers hold, if the table is one of a lake's."""
    if not _of_a_lake(table):
        return nullcontext()
    refusal = LakeError(
        f"another run has been writing {table.name!r} for {LOCK_SECONDS:.0f} s",
        where=str(table),
        mend="wait for that run to end, then write again",
    )
    return exclusive(table.parent / LOCKS / table.name, LOCK_SECONDS, refusal)


def _of_a_lake(table: Path) -> bool:
    """Whether a table lies in a lake; any other may be elsewhere, and parted by anything."""
    return (table.parent / LOCKS).is_dir() or remote(table) is not None


def _changed_days(folder: Path, rows: pa.Table) -> CommitProperties:
    """Tells the lake that days are not what it built: building them again replaces them."""
    days = DeltaTable(str(folder)).metadata().partition_columns
    added = rows[days[0]].value_counts().to_pylist() if days else []
    counts = {one["values"]: one["counts"] for one in added} or {date.min: len(rows)}
    stored, told = logged_states(folder), {}
    for day, count in counts.items():
        before = stored.get(day, DayState(0, "empty"))
        told[day.isoformat()] = [before.rows + count, f"{before.hash} and rows from elsewhere"]
    return CommitProperties(custom_metadata={"days": json.dumps(told)})


def _opener(config: RepoConfig) -> Callable[[], duckdb.DuckDBPyConnection]:
    store = config.offline_store
    spill = Path(store.spill_directory or Path(config.repo_path or ".") / ".spill")
    return lambda: open_duckdb(store.memory_limit, store.threads, spill, keep_order=True)


def _range(
    config: RepoConfig,
    source: DataSource,
    keys: list[str],
    features: list[str],
    timestamp: str,
    created: str | None,
    start: datetime | None,
    end: datetime | None,
    *,
    latest: bool,
) -> DuckDBRetrievalJob:
    names = [*keys, *features, timestamp, *([created] if created else [])]
    back = {new: old for old, new in source.field_mapping.items()}
    sql = render(
        "feast_range",
        scan=scan_sql(source, config),
        columns={name: back.get(name, name) for name in names},
        timestamp=back.get(timestamp, timestamp),
        created=created and back.get(created, created),
        keys=keys,
        start=start,
        end=end,
        latest=latest,
    )
    values = {name: value for name, value in (("start", start), ("end", end)) if value}

    def plan(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
        return connection.sql(sql, params=values or None)

    return DuckDBRetrievalJob(_opener(config), plan)
