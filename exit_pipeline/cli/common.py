"""What commands share: the profile that they work on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exit_pipeline.lake import Lake
    from exit_pipeline.profile import Profile
    from exit_pipeline.settings import Settings


def use_profile(profile: str) -> None:
    """Chooses the profile for everything that this process, and its children, load."""
    os.environ["EXIT_PROFILE"] = profile


def open_profile(profile: str) -> tuple[Settings, Lake, Profile]:
    """Returns the settings, the lake and the profile that a command works on."""
    from exit_pipeline.lake import Lake
    from exit_pipeline.profile import load_profile
    from exit_pipeline.settings import load_settings

    settings, found = load_settings(), load_profile(profile)
    return settings, Lake(settings.home_of(found.name)), found
