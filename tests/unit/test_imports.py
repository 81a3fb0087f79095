"""Feast comes without what its import does to a whole process."""

from __future__ import annotations

import os
import subprocess
import sys

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
