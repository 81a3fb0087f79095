"""Opens the Feast store of a profile: `feature_store.yaml` with the paths of its home."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import yaml

os.environ.setdefault("FEAST_USAGE", "False")

from feast import FeatureStore, RepoConfig

from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings


def repo_folder() -> Path:
    """Returns the folder of the Feast repository."""
    found = find_spec("feature_repo")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def open_store(settings: Settings, home: Home) -> FeatureStore:
    """Opens the Feast store of one profile's home; nothing is written."""
    folder = repo_folder()
    config = yaml.safe_load((folder / "feature_store.yaml").read_text("utf-8"))
    config["registry"]["path"] = str(home.feast / "registry.db")
    config["online_store"]["path"] = str(home.feast / "online.db")
    config["offline_store"] |= {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "spill_directory": str(home.spill),
    }
    home.feast.mkdir(parents=True, exist_ok=True)
    return FeatureStore(config=RepoConfig(repo_path=folder, **config))


def apply(settings: Settings, home: Home, profile: Profile) -> FeatureStore:
    """Registers the entities, views and the feature service of a profile."""
    from feature_repo.views import ENTITIES, feature_service, feature_views

    store = open_store(settings, home)
    views = feature_views(profile.spec, home.lake)
    store.apply([*ENTITIES, *views, feature_service(views)])
    return store
