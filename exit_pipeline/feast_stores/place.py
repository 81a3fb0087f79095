"""Where the `feast` command works: the home and the profile that the environment names."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.settings import Settings, load_settings


def repo_folder() -> Path:
    """Returns the folder of the Feast repository."""
    found = find_spec("feature_repo")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def environment() -> tuple[Settings, Profile]:
    """Reads EXIT_HOME and EXIT_PROFILE as the `feast` command needs them.

    It runs within the repository's folder, so the default home is the `.exit` beside that folder.
    """
    home = {} if "EXIT_HOME" in os.environ else {"home": repo_folder().parent / ".exit"}
    settings = load_settings(**home)
    return settings, load_profile(settings.profile)


def feast_folder() -> Path:
    """Returns the folder of Feast's state for the profile and the home of the environment."""
    settings, profile = environment()
    return settings.home_of(profile.name).feast
