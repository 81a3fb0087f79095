"""Metrics against slow oracles, the bootstrap, and the table of decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exit_pipeline.evaluation import Evaluation, decide
from exit_pipeline.evaluation.bootstrap import holm, paired
from exit_pipeline.evaluation.challenger import of_itself
from exit_pipeline.evaluation.metrics import auc, ece, gauc, logloss_rows, summary
from exit_pipeline.evaluation.slices import slices
from exit_pipeline.model import Encoder, InputSpec
from exit_pipeline.profile.learning import GatesSpec
from exit_pipeline.training.memorized import Memorized

ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.2, 0.5, 0.50001, 0.9]), st.integers(0, 3)),
    min_size=1, max_size=40,
)  # fmt: skip


def slow_auc(y, score):
    pairs = [(p, n) for i, p in enumerate(score) for j, n in enumerate(score) if y[i] > y[j]]
    return (
        np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs]) if pairs else np.nan
    )


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_auc_and_gauc_equal_a_slow_count_of_pairs(rows):
    y, score, user = (np.array(column, float) for column in zip(*rows, strict=True))
    assert auc(y, score) == pytest.approx(slow_auc(y, score), nan_ok=True)
    each, weight = [], []
    for u in set(user):
        mine = user == u
        if 0 < y[mine].sum() < mine.sum():
            each.append(slow_auc(y[mine], score[mine]))
            weight.append(mine.sum())
    expected = np.average(each, weights=weight) if each else np.nan
    assert gauc(y, score, user.astype(int)) == pytest.approx(expected, nan_ok=True)


def test_logloss_and_ece_by_hand():
    y, p = np.array([1.0, 0.0]), np.array([0.8, 0.4])
    np.testing.assert_allclose(logloss_rows(y, p), [-np.log(0.8), -np.log(0.6)])
    assert ece(np.array([1.0, 0, 0, 1]), np.array([0.9, 0.1, 0.2, 0.6]), bins=2) == pytest.approx(
        (2 * abs(0.15 - 0) + 2 * abs(0.75 - 1)) / 4
    )
    assert summary(y, p, np.array([0, 1]))["predicted_to_actual"] == pytest.approx(1.2)


def test_the_order_of_rows_with_one_score_says_nothing_of_calibration():
    p, y = np.full(1000, 0.1), np.r_[np.zeros(900), np.ones(100)]
    assert ece(y, p) == ece(y[::-1], p) == pytest.approx(0, abs=1e-12)


def test_the_bootstrap_sees_a_difference_and_no_difference():
    rng = np.random.default_rng(0)
    user, loss = rng.integers(200, size=4000), rng.random(4000)
    same = paired(loss, loss + rng.normal(0, 0.1, 4000), user, margin=0.0, draws=400, seed=1)
    assert same.low < 0 < same.high
    worse = paired(loss + 0.05, loss, user, margin=0.01, draws=400, seed=1)
    assert worse.low > 0.04
    assert worse.p_worse < 0.01
    assert paired(loss, loss, user, margin=0.0, draws=400, seed=1).mean == 0


def test_holm_by_hand():
    # 0.01 ≤ 0.05/3, 0.02 ≤ 0.05/2, but 0.06 > 0.05/1: two are rejected.
    assert holm({"a": 0.06, "b": 0.01, "c": 0.02}, 0.05) == {"b", "c"}
    assert holm({"a": 0.02, "b": 0.03, "c": 0.04}, 0.05) == set()
    assert holm({}, 0.05) == set()


SPEC = GatesSpec(slice_min_positives=50, bootstrap_draws=200)


def carried(said: float, label: float) -> dict:
    """What is told of mean p_tr and mean a."""
    ratio = said / label if label else None
    return {
        "transfer": {"search": ratio},
        "p_transfer": {"search": said},
        "consistent": {"search": label},
    }


def evaluation(shift: float = 0.0, **changes) -> Evaluation:
    """Scores of one world whose losses are moved by `shift`."""
    rng = np.random.default_rng(0)
    n = 4000
    y, user = (rng.random(n) < 0.3).astype(float), rng.integers(400, size=n)
    made = Evaluation(
        metrics={"ece": 0.004}, by_slice={}, **carried(0.4, 0.4), shown={"search": 500},
        loss=rng.random(n) + shift + rng.normal(0, 0.001, n), score=np.full(n, 0.3), y=y, user=user,
        masks={"half": np.arange(n) % 2 == 0, "tiny": np.arange(n) < 20},
    )  # fmt: skip
    return replace(made, **changes)


def worse_on_a_slice():
    made = evaluation(-0.01)
    return replace(made, loss=made.loss + 0.015 * made.masks["half"])


def unsure():
    """Worse by less than the margin on average, by an interval that reaches far past it."""
    made = evaluation()
    return replace(made, loss=made.loss + np.random.default_rng(1).normal(0.0002, 0.3, 4000))


def worse_on_one_of_60():
    rng = np.random.default_rng(2)
    made = evaluation(-0.01, masks={f"scene {k}": rng.random(4000) < 0.2 for k in range(60)})
    return replace(made, loss=made.loss + 0.05 * made.masks["scene 7"])


BASE = evaluation(0.02)
DECISIONS = {
    "first, better than target-only": (evaluation(), None, {}, True, "every gate passed"),
    "first, worse than target-only": (evaluation(0.05), None, {}, False, "target-only"),
    "better than the champion": (evaluation(-0.01), evaluation(), {}, True, "every gate passed"),
    "a tie": (evaluation(), evaluation(), {}, False, "worth it"),
    "a tie with an old champion": (evaluation(), evaluation(), {"champion_age_days": 15.0}, True, "every"),
    "worse than an old champion": (evaluation(0.01), evaluation(), {"champion_age_days": 15.0}, False, "champion"),
    "worse on a slice": (worse_on_a_slice(), evaluation(), {}, False, "worse on half"),
    "worse on one slice of many": (worse_on_one_of_60(), evaluation(), {}, False, "worse on scene 7 "),
    "not surely within the margin": (unsure(), evaluation(), {"champion_age_days": 15.0}, False, "not worse than the champion"),
    "not calibrated": (evaluation(-0.01, metrics={"ece": 0.03}), evaluation(), {}, False, "calibrated"),
    "transfer collapsed": (evaluation(-0.01, **carried(0.008, 0.4)), evaluation(), {}, False, "transfer"),
    "too few rows to call it a collapse": (evaluation(-0.01, **carried(0.008, 0.4), shown={"search": 199}), evaluation(), {}, True, "every"),
    "transfer of what carries nothing": (evaluation(-0.01, **carried(0.4, 0)), evaluation(), {}, False, "transfer from search: mean p_tr 0.400 where mean a is 0.000 (limit 0.000 … 0.050)"),
    "nothing to carry, nor carried": (evaluation(-0.01, **carried(0.02, 0)), evaluation(), {}, True, "every"),
    "hardly anything to carry": (evaluation(-0.01, **carried(0.01, 0.004)), evaluation(), {}, True, "every"),
    "collapsed though little carries": (evaluation(-0.01, **carried(0.0002, 0.045)), evaluation(), {}, False, "mean p_tr 0.000 where mean a is 0.045"),
    "as little as chance puts it": (evaluation(-0.01, **carried(0.001, 0.004)), evaluation(), {}, True, "every"),
    "far too much of it": (evaluation(-0.01, **carried(0.06, 0.004)), evaluation(), {}, False, "mean a is 0.004, 15.00 times"),
    "thin groups learned by heart": (evaluation(-0.01, memorized=Memorized(0.2, 500)), evaluation(), {}, False, "not memorized: thin groups lose 0.2000 more logloss than the others (target-only: 0.0000)"),
    "too few rows to call them so": (evaluation(-0.01, memorized=Memorized(0.2, 199)), evaluation(), {}, True, "every"),
    "withdrawn": (evaluation(-0.01), evaluation(), {"withdrawn": "it hurt"}, False, "it hurt"),
    "seen by the champion": (evaluation(-0.01), None, {"seen_by_champion": "fitted on them"}, False, "fair comparison: fitted on them"),
    "served otherwise than trained": (evaluation(-0.01), evaluation(), {"serving_gap": 2e-5}, False, "served as trained: scores differ by at most 2.0e-05 before calibration"),
    "not to be governed": (evaluation(-0.01), evaluation(), {"ungoverned": "'beer' is no interest unit"}, False, "can be governed: 'beer' is no"),
    "a failed check": (evaluation(-0.01), evaluation(), {"failed_checks": ["events:gx"]}, False, "events:gx"),
}  # fmt: skip


@pytest.mark.parametrize(("gap", "base", "promote"), [(0.2, 0.16, True), (0.2, 0.14, False), (0.04, -0.3, True), (0.06, -0.3, False)])  # fmt: skip
def test_what_target_only_loses_on_thin_groups_is_not_held_against_a_model(gap, base, promote):
    challenger = evaluation(-0.01, memorized=Memorized(gap, 500))
    target_only = replace(BASE, memorized=Memorized(base, 500))
    decision = decide(challenger, target_only, None, SPEC)
    assert decision.promote == promote, decision.reason


@pytest.mark.parametrize(
    ("positives", "expected", "promote"),
    [
        (2000, 2480, True), (2000, 1520, True),  # within a quarter
        (2000, 8000, False), (2000, 2650, False), (2000, 1420, False),
        (10, 22, True), (10, 24, False),  # of 10, as few as 5.4 and as many as 18.4 may be meant
        (0, 4, True), (0, 6, False),
    ],
)  # fmt: skip
def test_a_model_is_calibrated_where_outcomes_are_rare(positives, expected, promote):
    n = 1_000_000
    made = replace(
        evaluation(), metrics={"ece": abs(expected - positives) / n},
        y=np.r_[np.ones(positives), np.zeros(n - positives)], score=np.full(n, expected / n),
    )  # fmt: skip
    (gate,) = (g for g in of_itself(made, SPEC, ()) if g.name == "calibrated")
    assert gate.passed == promote, gate
    assert f"{expected:,} outcomes expected where {positives:,} came" in gate.measured


@pytest.mark.parametrize("case", DECISIONS)
def test_decisions(case):
    challenger, champion, options, promote, word = DECISIONS[case]
    decision = decide(challenger, BASE, champion, SPEC, **options)
    assert decision.promote == promote, decision.reason
    assert word in decision.reason
    assert decision.promote == all(gate.passed for gate in decision.gates)


def test_the_segment_that_a_profile_names_is_a_slice_by_value():
    rows = pa.table({"user_id": ["u"] * 4, "item_id": ["i"] * 4, "scene": ["s"] * 4,
                     "age": ["old", None, "young", "old"]})  # fmt: skip
    encoder = Encoder(
        InputSpec(("user_id", "item_id"), (), {}), {"user_id": [], "item_id": []}, {}, "item_id"
    )
    found = dict(slices(rows, encoder, "age"))
    assert {name: mask.tolist() for name, mask in found.items() if name.startswith("segment")} == {
        "segment old": [True, False, False, True],
        "segment young": [False, False, True, False],
    }
    assert all(mask.dtype == bool for mask in found.values())
    for none in (None, "not there"):
        assert not [name for name, _ in slices(rows, encoder, none) if name.startswith("segment")]


def test_nothing_carries_where_no_source_that_was_shown_does():
    rows = pa.table({
        "ys_a":         [1, 1, 0, 0, 1],
        "consistent_a": [1, 0, 1, 1, 0],
        "ys_b":         [0, 0, 1, 0, 1],
        "consistent_b": [0, 1, 0, 1, 1],
        "user_id": ["u"] * 5, "item_id": ["i"] * 5, "scene": ["s"] * 5,
    })  # fmt: skip
    spec = InputSpec(("user_id", "item_id"), (), {"a": (), "b": ()})
    found = dict(slices(rows, Encoder(spec, {"user_id": ["u"], "item_id": ["i"]}, {}, "item_id")))
    assert found["source interest"].tolist() == [True, True, True, False, True]
    # The second row's interest is in a, and the third's in b: what carries is the other source.
    assert found["nothing carries"].tolist() == [False, True, True, False, False]
