"""A tiny world that all tests of the arena share."""

from __future__ import annotations

import pytest

from exit_pipeline.experiments.making import prepare
from exit_pipeline.experiments.specs import WorldSpec
from exit_pipeline.settings import load_settings


@pytest.fixture(scope="session")
def arena(tmp_path_factory):
    """Settings whose home holds the tiny world."""
    return load_settings(home=tmp_path_factory.mktemp("arena"), threads=1)


@pytest.fixture(scope="session")
def world(arena):
    return prepare(WorldSpec("A", "quick"), arena)
