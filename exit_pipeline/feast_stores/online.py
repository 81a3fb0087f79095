"""Feast's sqlite online store, made safe: the newest event time wins, whoever writes last."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from feast.feature_view import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.sqlite import (
    SqliteOnlineStore,
    SqliteOnlineStoreConfig,
    _table_id,
)
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.utils import to_naive_utc

from exit_pipeline.lake.duck import render

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


class LatestWinsSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Settings of the store in `feature_store.yaml`."""

    type: Literal["exit_pipeline.feast_stores.online.LatestWinsSqliteOnlineStore"] = (
        "exit_pipeline.feast_stores.online.LatestWinsSqliteOnlineStore"  # type: ignore[assignment]
    )


class LatestWinsSqliteOnlineStore(SqliteOnlineStore):
    """A sqlite online store in which pushes and materializations may come in any order."""

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        if not self._conn:
            Path(self._get_db_path(config)).parent.mkdir(parents=True, exist_ok=True)
            connection = super()._get_conn(config)
            # Readers do not wait for a writer, and writers of several processes wait their turn.
            connection.execute("pragma busy_timeout = 30000")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
        return super()._get_conn(config)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes feature rows in one transaction; a row older than what is stored is left out.

        Args:
            config: Feast's.
            table: The feature view.
            data: (entity key, feature values, event time, created time).
            progress: Called with the number of rows written.
        """
        connection = self._get_conn(config)
        name = _table_id(
            config.project, table, config.registry.enable_online_feature_view_versioning
        )
        version = config.entity_key_serialization_version
        with connection:
            connection.executemany(
                render("feast_online_upsert", table=name), _features(data, version)
            )
        if progress:
            progress(len(data))


def _features(data: list[Row], version: int) -> Iterator[tuple]:
    for entity_key, values, timestamp, created in data:
        key = serialize_entity_key(entity_key, entity_key_serialization_version=version)
        at = to_naive_utc(timestamp)
        made = None if created is None else to_naive_utc(created)
        for feature, value in values.items():
            yield key, feature, value.SerializeToString(), at, made
