"""What comes with the package: Feast without what its import does, and threads that let go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEN = """
import exit_pipeline, os, typeguard
checked = typeguard.typechecked
from feast import Entity, FeatureView
names = [name for one in (Entity, FeatureView) for name in one.__init__.__code__.co_names]
print("check_argument_types_internal" in names, typeguard.typechecked is checked)
from feast import metrics
from prometheus_client import values
print(values.ValueClass.__name__, any(name.startswith("PROMETHEUS") for name in os.environ))
"""


def test_feast_is_imported_without_checks_and_counters_stay_in_memory():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROMETHEUS")}
    words = [sys.executable, "-c", SEEN]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.split() == ["False", "True", "MutexValue", "False"]


@pytest.mark.parametrize(("given", "seen"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_that_wait_do_not_hold_a_core_unless_they_are_told_to(given, seen):
    """GNU OpenMP reads it once, when torch is imported: after the package, by whatever way in."""
    told = "import sys, os, {}; print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"} | given
    for way in ("exit_pipeline", "assets.definitions", "exit_pipeline.cli.main"):
        words = [sys.executable, "-c", told.format(way)]
        found = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
        assert found.stdout.split() == ["False", seen]


def test_what_is_internal_to_dagster_is_taken_in_one_place():
    root = Path(__file__).parents[2]
    files = [file for part in ("assets", "exit_pipeline") for file in (root / part).rglob("*.py")]
    found = {file.name for file in files if "dagster._" in file.read_text("utf-8")}
    assert found == {"internals.py"}
