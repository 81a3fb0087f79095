"""Opens the Feast store of a profile: `feature_store.yaml` with the paths of its home."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import AbstractContextManager
from typing import Any

import feast
import yaml
from feast import FeatureStore, RepoConfig
from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.place import repo_folder
from exit_pipeline.lock import exclusive
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings

LOCK_SECONDS = 120.0


def open_store(settings: Settings, home: Home) -> FeatureStore:
    """Opens the Feast store of one profile's home; nothing is written."""
    folder = repo_folder()
    config = yaml.safe_load((folder / "feature_store.yaml").read_text("utf-8"))
    config["registry"]["path"] = str(home.feast / "registry.db")
    if settings.redis:
        config["online_store"] = {
            "type": "exit_pipeline.feast_stores.online_redis.LatestWinsRedisOnlineStore",
            "connection_string": settings.redis.get_secret_value(),
            "profile": home.root.name,
        }
    else:
        config["online_store"]["path"] = str(home.feast / "online.db")
    config["offline_store"] |= {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "spill_directory": str(home.spill),
    }
    home.feast.mkdir(parents=True, exist_ok=True)
    return FeatureStore(config=RepoConfig(repo_path=folder, **config))


def online_identity(settings: Settings, home: Home) -> str | None:
    """Returns what tells the online store from one that was lost and made anew.

    Returns:
        None where there is no store.

    Raises:
        LakeError: Redis cannot be reached, or holds another profile.
    """
    if settings.redis:
        from exit_pipeline.feast_stores.online_redis import identity

        return identity(settings.redis.get_secret_value(), home.root.name)
    file = home.feast / "online.db"
    return str(file.stat().st_ino) if file.exists() else None


def apply(settings: Settings, home: Home, profile: Profile) -> FeatureStore:
    """Registers the entities, views and the feature service of a profile, unless they stand there.

    Raises:
        LakeError: Another process has been writing the registry for long.
    """
    from feature_repo.views import ENTITIES, feature_service, feature_views

    views = feature_views(profile.spec, home.lake)
    return _register(settings, home, "definitions", [*ENTITIES, *views, feature_service(views)])


def register_version_service(
    settings: Settings, home: Home, profile: Profile, version: int | str
) -> str:
    """Registers the feature service of one model version; it stays as it is from then on.

    Args:
        settings: Limits of the stores.
        home: The profile's.
        profile: The one that the model was trained with.
        version: The model's version.

    Returns:
        The service's name, `ranking_v7`.
    """
    from feature_repo.views import feature_service, feature_views

    name = f"ranking_v{version}"
    apply(settings, home, profile)
    if name not in _names(home):
        service = feature_service(feature_views(profile.spec, home.lake), name)
        _register(settings, home, name, [service])
    return name


def writing_registry(home: Home) -> AbstractContextManager[None]:
    """One writer of the registry at a time; whoever changes it holds this."""
    refusal = LakeError(
        f"another process has been writing Feast's registry for {LOCK_SECONDS:.0f} s",
        where=str(home.feast / "registry.db"),
        mend="wait for it to end, then run again",
    )
    return exclusive(home.feast / ".registry.lock", LOCK_SECONDS, refusal)


def _register(settings: Settings, home: Home, name: str, objects: list[Any]) -> FeatureStore:
    """Applies objects if they changed; what they were is kept as a fingerprint beside."""
    said = [feast.__version__, *(_undated(MessageToDict(one.to_proto())) for one in objects)]
    wanted = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    file = home.feast / f"{name}.sha256"

    def stands() -> bool:
        same = file.exists() and file.read_text("utf-8") == wanted
        same = same and online_identity(settings, home) is not None  # applying makes its tables
        return same and {one.name for one in objects} <= _names(home)

    if not stands():
        with writing_registry(home):
            if not stands():
                _put_torn_registry_aside(home)
                open_store(settings, home).apply(objects)
                file.write_text(wanted, "utf-8")
    return open_store(settings, home)


def _undated(value: Any) -> Any:
    """Leaves out when Feast's objects were made: these times differ from process to process."""
    if isinstance(value, list):
        return [_undated(part) for part in value]
    if isinstance(value, dict):
        dates = ("createdTimestamp", "lastUpdatedTimestamp")
        return {key: _undated(part) for key, part in value.items() if key not in dates}
    return value


def _names(home: Home) -> set[str]:
    """Names of what stands in the registry; none where it is torn or not there."""
    try:
        found = RegistryProto.FromString((home.feast / "registry.db").read_bytes())
    except (FileNotFoundError, DecodeError):
        return set()
    kinds = (found.entities, found.feature_views, found.feature_services)
    return {one.spec.name for kind in kinds for one in kind}


def _put_torn_registry_aside(home: Home) -> None:
    """A registry that cannot be read would fail every run; what it said is said again."""
    registry = home.feast / "registry.db"
    if registry.exists() and not _names(home):
        os.replace(registry, registry.with_suffix(".torn"))
