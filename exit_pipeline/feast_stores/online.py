"""Feast's sqlite online store, made safe: the newest event time wins, whoever writes last.

Feast's own keeps times in whole seconds, in which neither order nor age can be told apart well.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
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

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.place import feast_folder
from exit_pipeline.lake.duck import render
from exit_pipeline.times import instant, since_epoch

KEYS_A_READ = 10_000  # sqlite binds at most 32,766 values
Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
# Feast hands nothing through to `online_write_batch`, so the days being rebuilt stand here.
REBUILT: ContextVar[tuple[int, int]] = ContextVar("rebuilt", default=(1, 0))


@contextmanager
def rebuilding(since: datetime, until: datetime) -> Iterator[None]:
    """While this lasts, a stored row whose event time is in [since, until] yields to any."""
    token = REBUILT.set((since_epoch(since), since_epoch(until)))
    try:
        yield
    finally:
        REBUILT.reset(token)


class LatestWinsSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Settings of the store in `feature_store.yaml`."""

    type: Literal["exit_pipeline.feast_stores.online.LatestWinsSqliteOnlineStore"] = (
        "exit_pipeline.feast_stores.online.LatestWinsSqliteOnlineStore"  # type: ignore[assignment]
    )


class LatestWinsSqliteOnlineStore(SqliteOnlineStore):
    """A sqlite online store in which pushes and materializations may come in any order."""

    _file: int | None = None  # the inode that is read

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        """A relative path is under the home and profile of the environment."""
        path = config.online_store.path
        return path if os.path.isabs(path) else str(feast_folder() / path)

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        if not self._conn:
            Path(self._get_db_path(config)).parent.mkdir(parents=True, exist_ok=True)
            connection = super()._get_conn(config)
            # Readers do not wait for a writer, and writers of several processes wait their turn.
            connection.execute("pragma busy_timeout = 30000")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
        return super()._get_conn(config)

    def _reading(self, config: RepoConfig) -> sqlite3.Connection:
        """The connection to the file that lies there now: one that was removed can still be read.

        Raises:
            LakeError: No file lies there.
        """
        path = self._get_db_path(config)
        try:
            file = os.stat(path).st_ino
        except FileNotFoundError as error:
            self._conn = None
            raise LakeError(
                "the online store's file is gone", where=path, mend="run the online_store asset"
            ) from error
        if file != self._file:
            self._conn, self._file = None, file
        return self._get_conn(config)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes feature rows in one transaction; a row older than what is stored is left out.

        Only a row of a day that is being rebuilt makes room for an older one (`rebuilding`).

        Args:
            config: Feast's.
            table: The feature view.
            data: (entity key, feature values, event time, created time).
            progress: Called with the number of rows written.
        """
        connection, name = self._get_conn(config), _table_name(config, table)
        version = config.entity_key_serialization_version
        with connection:
            connection.executemany(
                render("feast_online_upsert", table=name),
                _features(data, version, REBUILT.get()),
            )
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Reads feature rows with their event time, to the microsecond.

        Args:
            config: Feast's.
            table: The feature view.
            entity_keys: n keys.
            requested_features: Names; by default all that are stored.

        Returns:
            n times the event time and the values by name, or two Nones where nothing is stored.
        """
        connection, name = self._reading(config), _table_name(config, table)
        version = config.entity_key_serialization_version
        keys = [serialize_entity_key(key, version) for key in entity_keys]
        wanted = None if requested_features is None else set(requested_features)
        values: dict[bytes, dict[str, Value]] = {}
        times: dict[bytes, int] = {}
        for start in range(0, len(keys), KEYS_A_READ):
            some = keys[start : start + KEYS_A_READ]
            for key, feature, value, us in connection.execute(_read_sql(name, len(some)), some):
                if wanted is None or feature in wanted:
                    values.setdefault(key, {})[feature] = Value.FromString(value)
                    times[key] = min(us, times.get(key, us))
        return [(instant(times[k]), values[k]) if k in values else (None, None) for k in keys]

    def remove_entity(self, config: RepoConfig, tables: list[FeatureView], key: EntityKey) -> int:
        """Deletes every feature of one entity; the file's own bytes are overwritten.

        Args:
            config: Feast's.
            tables: The feature views of that entity.
            key: The entity's.

        Returns:
            How many features were stored.
        """
        if not Path(self._get_db_path(config)).exists():
            return 0
        connection, version = self._get_conn(config), config.entity_key_serialization_version
        connection.execute("pragma secure_delete = on")
        removed = 0
        with connection:
            for table in tables:
                sql = render("feast_online_delete", table=_table_name(config, table))
                found = connection.execute(sql, [serialize_entity_key(key, version)])
                removed += found.rowcount
        connection.execute("pragma wal_checkpoint(truncate)")  # the log of writes had them too
        return removed


@lru_cache(64)  # rendered anew it costs as much as reading a row
def _read_sql(table: str, keys: int) -> str:
    return render("feast_online_read", table=table, keys=keys)


def _features(data: list[Row], version: int, rebuilt: tuple[int, int]) -> Iterator[tuple]:
    for entity_key, values, timestamp, created in data:
        key = serialize_entity_key(entity_key, entity_key_serialization_version=version)
        at = since_epoch(timestamp)
        made = None if created is None else since_epoch(created)
        for feature, value in values.items():
            yield key, feature, value.SerializeToString(), at, made, *rebuilt


def _table_name(config: RepoConfig, table: FeatureView) -> str:
    return _table_id(config.project, table, config.registry.enable_online_feature_view_versioning)
