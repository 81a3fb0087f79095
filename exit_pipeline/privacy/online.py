"""A person's features out of Feast's online store."""

from __future__ import annotations

from typing import Any

from exit_pipeline.settings import Home, Settings


def remove_online(settings: Settings, home: Home, user_id: str) -> int:
    """Deletes all that is online of a person; returns how many features that was.

    A service that runs reads the store at each request, so it sees that at once.

    Raises:
        LakeError: Redis cannot be reached, or holds another profile.
    """
    if not (home.feast / "registry.db").exists():
        return 0  # nothing was ever online
    stores = [settings.model_copy(update={"redis": None})]  # a home that moved has the file still
    if settings.redis:
        stores.append(settings)
    return sum(_remove(one, home, user_id) for one in stores)


def _remove(settings: Settings, home: Home, user_id: str) -> int:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from exit_pipeline.feast_stores.repo import online_identity, open_store

    if online_identity(settings, home) is None:
        return 0
    store = open_store(settings, home)
    views = [view for view in store.list_feature_views() if view.entities == ["user"]]
    key = EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])
    online: Any = store._get_provider().online_store
    return online.remove_entity(store.config, views, key)
