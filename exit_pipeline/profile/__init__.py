"""Profiles: the strictly read description of one data set."""

from exit_pipeline.profile.load import Profile, load_profile
from exit_pipeline.profile.schema import ProfileSpec

__all__ = ["Profile", "ProfileSpec", "load_profile"]
