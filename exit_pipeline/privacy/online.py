"""A person's features out of Feast's online store."""

from __future__ import annotations

from typing import Any

from exit_pipeline.settings import Home, Settings


def remove_online(settings: Settings, home: Home, user_id: str) -> int:
    """Deletes all that the online store has of a person; returns how many features that was.

    A service that runs reads the store at each request, so it sees that at once.
    """
    if not (home.feast / "registry.db").exists():
        return 0  # nothing was ever online
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from exit_pipeline.feast_stores.repo import open_store

    store = open_store(settings, home)
    views = [view for view in store.list_feature_views() if view.entities == ["user"]]
    key = EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])
    online: Any = store._get_provider().online_store
    return online.remove_entity(store.config, views, key)
