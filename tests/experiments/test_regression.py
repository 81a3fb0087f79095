"""The default model is as good as the studies found it, within the spread over seeds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.experiments.regression import FILE, figures


@pytest.mark.slow
def test_the_default_model_is_what_it_was(arena):
    held = json.loads(FILE.read_text("utf-8"))
    runs = [figures(arena, seed) for seed in range(held["runs"])]
    for name, bound in held["metrics"].items():
        found = np.mean([run[name] for run in runs])
        assert abs(found - bound["expected"]) <= bound["tolerance"], (name, found, bound)
