"""Feast's Redis online store under the rule of the sqlite one: the newest event time wins.

Rows lie in Feast's own form. Beside them stand the times that the rule looks at, and it is decided
within Redis, so writers may come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, cast
from uuid import uuid4

from feast import Entity
from feast.feature_view import FeatureView
from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.repo_config import RepoConfig
from feast.utils import make_tzaware
from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis
from redis.exceptions import RedisError

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.online import REBUILT, Row
from exit_pipeline.times import since_epoch

# A server that hangs must fail at last, or nobody would ask it again; what the user says wins.
LIMITS = "socket_connect_timeout=1,socket_timeout=5"
MARK = "exit_pipeline"  # the key that says whose the database is
UPSERT = """
-- KEYS: one entity. ARGV: the fields of the two times, the times themselves, the days that are
-- being rebuilt (from, to), then fields and values. All times are microseconds since 1970.
local was = redis.call('hmget', KEYS[1], ARGV[1], ARGV[2])
local was_at, was_made = tonumber(was[1] or -1), tonumber(was[2] or -1)
local at, made = tonumber(ARGV[3]), tonumber(ARGV[4])
if at > was_at or (at == was_at and made >= was_made)
    or (was_at >= tonumber(ARGV[5]) and was_at <= tonumber(ARGV[6])) then
  redis.call('hset', KEYS[1], ARGV[1], ARGV[3], ARGV[2], ARGV[4], unpack(ARGV, 7))
end
"""


class LatestWinsRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Settings of the store, as `open_store` fills them in."""

    type: Literal["exit_pipeline.feast_stores.online_redis.LatestWinsRedisOnlineStore"] = (
        "exit_pipeline.feast_stores.online_redis.LatestWinsRedisOnlineStore"  # type: ignore[assignment]
    )
    profile: str


class LatestWinsRedisOnlineStore(RedisOnlineStore):
    """A Redis online store in which pushes and materializations may come in any order."""

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Redis:
        return client_of(online_store_config.connection_string)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Marks the database as this profile's, and removes views that are gone.

        Raises:
            LakeError: It cannot be reached, or is another profile's.
        """
        address, profile = config.online_store.connection_string, config.online_store.profile
        if identity(address, profile) is None:
            client_of(address).set(MARK, f"{profile} {uuid4().hex}", nx=True)
            identity(address, profile)  # another profile may have been quicker
        super().update(
            config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial
        )

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes feature rows, each of them whole or not at all; an older row is left out.

        Args:
            config: Feast's.
            table: The feature view.
            data: (entity key, feature values, event time, created time).
            progress: Called with the number of rows written.
        """
        version = config.entity_key_serialization_version
        name = compute_versioned_name(table, config.registry.enable_online_feature_view_versioning)
        client = self._get_client(config.online_store)
        upsert = client.register_script(UPSERT)
        with client.pipeline(transaction=False) as pipe:
            for entity, values, at, created in data:
                times = [since_epoch(at), 0 if created is None else since_epoch(created)]
                moment = Timestamp()
                moment.FromDatetime(make_tzaware(at))
                fields: list[Any] = [f"_ts:{name}", moment.SerializeToString()]
                for feature, value in values.items():
                    fields += [_mmh3(f"{name}:{feature}"), value.SerializeToString()]
                key = _redis_key(config.project, entity, entity_key_serialization_version=version)
                order: list[Any] = [f"_at:{name}", f"_made:{name}", *times, *REBUILT.get()]
                upsert([key], [*order, *fields], client=pipe)
            pipe.execute()
        if progress:
            progress(len(data))

    def remove_entity(self, config: RepoConfig, tables: list[FeatureView], key: EntityKey) -> int:
        """Deletes every feature of one entity.

        Args:
            config: Feast's.
            tables: The feature views of that entity.
            key: The entity's.

        Returns:
            How many features were stored.
        """
        client = self._get_client(config.online_store)
        version = config.entity_key_serialization_version
        versioned = config.registry.enable_online_feature_view_versioning
        place = _redis_key(config.project, key, entity_key_serialization_version=version)
        removed = 0
        for table in tables:
            name = compute_versioned_name(table, versioned)
            # The client's types ask for text; what it sends are bytes.
            values: list[Any] = [_mmh3(f"{name}:{field.name}") for field in table.features]
            removed += cast(int, client.hdel(cast(str, place), *values))
            client.hdel(cast(str, place), f"_ts:{name}", f"_at:{name}", f"_made:{name}")
        return removed


@lru_cache
def client_of(address: str) -> Redis:
    """Returns the client of a Redis, which is made once; it connects when it is used.

    Args:
        address: In Feast's form, `host:port,db=0,password=…`.
    """
    config = RedisOnlineStoreConfig(connection_string=f"{LIMITS},{address}")
    return RedisOnlineStore()._get_client(config)


def identity(address: str, profile: str) -> str | None:
    """Returns what tells this database from one that was emptied, or came back from a snapshot.

    A Redis that starts again may lack what was written last, so every start is another identity.

    Returns:
        None for a database that has not been written to.

    Raises:
        LakeError: It cannot be reached, or is another profile's.
    """
    try:
        with client_of(address).pipeline(transaction=False) as pipe:
            pipe.get(MARK)
            pipe.info("server")
            mark, server = pipe.execute()
    except RedisError as error:
        raise LakeError(
            f"Redis cannot be reached: {type(error).__name__}",
            where="EXIT_REDIS", mend="start it, or unset EXIT_REDIS to use sqlite",
        ) from error  # fmt: skip
    if mark is None:
        return None
    owner = mark.decode()
    if owner.split()[0] != profile:
        raise LakeError(
            f"this database of Redis is the profile {owner.split()[0]}'s, not {profile}'s",
            where="EXIT_REDIS", mend="name another one there, such as db=1",
        )  # fmt: skip
    return f"{owner} {server['run_id']}"
