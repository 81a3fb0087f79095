"""The bootstrap of AUC against a slow oracle that repeats rows."""

from __future__ import annotations

import numpy as np
import pytest

from exit_pipeline.evaluation.metrics import auc
from exit_pipeline.experiments.bootstrap import Interval, auc_draws, draw_users, mean_draws
from exit_pipeline.experiments.measures import spearman


@pytest.mark.parametrize("levels", [5, 10_000], ids=["many ties", "few ties"])
def test_auc_in_each_draw_is_the_auc_of_the_rows_drawn(levels):
    rng = np.random.default_rng(3)
    y = (rng.random(400) < 0.2).astype(float)
    score = np.round(rng.random(400) * levels + y * levels / 4)
    user = rng.integers(30, size=400)
    times = draw_users(30, 70, seed=1)
    found = auc_draws(y, score, user, times)
    for draw in (0, 1, 69):
        rows = np.repeat(np.arange(400), times[draw][user])
        assert found[draw] == pytest.approx(auc(y[rows], score[rows]), abs=1e-12)


def test_means_in_each_draw_are_means_of_the_rows_drawn():
    user, values = np.array([0, 0, 1, 2]), np.array([1.0, 2.0, 10.0, 100.0])
    times = np.array([[1, 1, 1], [3, 0, 0], [0, 2, 1]], np.int16)
    assert mean_draws(values, user, times).tolist() == [113 / 4, 1.5, 40.0]


def test_every_draw_draws_as_many_users_as_there_are():
    times = draw_users(50, 20, seed=0)
    assert times.sum(1).tolist() == [50] * 20
    assert not (times[0] == times[1]).all()


def test_a_draw_of_one_class_has_no_auc_and_is_left_out_of_the_interval():
    y, score = np.array([1.0, 0.0]), np.array([0.9, 0.1])
    found = auc_draws(y, score, np.array([0, 1]), np.array([[1, 1], [2, 0]], np.int16))
    assert found[0] == 1.0
    assert np.isnan(found[1])
    assert Interval.of(0.0, found - 1.0).low == 0.0


def test_spearman_goes_by_ranks_and_ties_share_theirs():
    assert spearman(np.array([1.0, 2.0, 9.0]), np.array([1.0, 20.0, 21.0])) == pytest.approx(1)
    tied = spearman(np.array([1.0, 1.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert tied == pytest.approx(2 / 5**0.5)  # of ranks 1.5 1.5 3.5 3.5 and 1 2 3 4


def test_auc_by_chance_is_what_auc_of_many_drawn_outcomes_tends_to():
    rng = np.random.default_rng(5)
    chance, noise = rng.random(2000), rng.random(2000)
    score = chance + noise
    user, once = np.zeros(2000, int), np.ones((1, 1), np.int16)
    (expected,) = auc_draws(chance, score, user, once)
    drawn = [auc((rng.random(2000) < chance).astype(float), score) for _ in range(200)]
    assert expected == pytest.approx(np.mean(drawn), abs=3 * np.std(drawn) / 200**0.5)
    assert np.std(drawn) > 0.005  # one draw of outcomes says far less
