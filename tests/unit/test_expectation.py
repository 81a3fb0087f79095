"""The regression behind `expectation: regression`."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from exit_pipeline.labels.expectation import FACTS, PRIOR, coefficients, regression

DAYS = [date(2026, 1, day) for day in (5, 6, 7)]


def cells(seed: int, rows: int = 60, size: int = 40):
    rng = np.random.default_rng(seed)
    facts = np.column_stack([np.ones(rows), rng.normal([-2.5, 0, 1], [0.5, 0.6, 0.7], (rows, 3))])
    n = rng.integers(0, size, rows).astype(float)
    chance = 1 / (1 + np.exp(-facts @ [-0.8, 0.7, 1.1, 0.2]))
    return facts, n, rng.binomial(n.astype(int), chance).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_at_the_coefficients_found_nothing_is_left_to_gain(seed):
    facts, n, c = cells(seed)
    beta = regression(facts, n, c)
    left = facts.T @ (c - n / (1 + np.exp(-facts @ beta)))
    assert left == pytest.approx(beta - PRIOR, abs=1e-6)


def test_with_many_exposures_the_coefficients_are_those_that_made_them():
    beta = regression(*cells(0, rows=400, size=20_000))
    assert beta == pytest.approx([-0.8, 0.7, 1.1, 0.2], abs=0.02)


def test_without_exposures_a_row_responds_as_its_group():
    facts, n, _ = cells(1)
    assert (regression(facts, 0 * n, 0 * n) == PRIOR).all()


@pytest.mark.parametrize("share", [0, 1])
def test_outcomes_of_one_kind_alone_have_an_answer_too(share):
    facts, n, _ = cells(2, size=1_000_000)
    assert np.isfinite(regression(facts, n, share * n)).all()


def test_a_day_is_fitted_to_what_was_known_on_its_morning():
    facts, n, c = cells(3)
    since = np.array([DAYS[0], DAYS[2]] * 30, "datetime64[D]")
    order = np.argsort(since, kind="stable")
    columns = {"ds": since, "cell": np.arange(60), "n": n, "c": c}
    columns |= {name: facts[:, k] for k, name in enumerate(FACTS) if k}
    found = coefficients(pa.table({k: v[order] for k, v in columns.items()}), DAYS)
    early = since == np.datetime64(DAYS[0])
    assert (found[0] == found[1]).all()
    assert found[0] == pytest.approx(regression(facts[early], n[early], c[early]), abs=1e-9)
    assert found[2] == pytest.approx(regression(facts, n, c), abs=1e-9)
