"""Feast comes without the type checks that cost more than the rest of its import."""

from __future__ import annotations

import subprocess
import sys

SEEN = """
import exit_pipeline, typeguard
checked = typeguard.typechecked
from feast import Entity, FeatureView
names = [name for one in (Entity, FeatureView) for name in one.__init__.__code__.co_names]
print("check_argument_types_internal" in names, typeguard.typechecked is checked)
"""


def test_feast_is_imported_without_checks_and_typeguard_stays_as_it_was():
    found = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
