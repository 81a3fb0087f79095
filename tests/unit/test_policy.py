"""Governed transfer: rules by hand, what a forbidden source can change, what a policy costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from exit_pipeline.errors import ModelFileError, ProfileError, UsageError
from exit_pipeline.evaluation import policy_cost
from exit_pipeline.model import Batch
from exit_pipeline.profile import load_profile
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.policy import Policy, Ruling
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training import train_model
from tests.logs import PROFILE
from tests.unit.rows import MODEL, SOURCES, SPEC, TRAINING, make_table, write_parts
from tests.unit.test_profile import write

SUBSETS = [list(some) for n in (1, 2, 3) for some in combinations(SOURCES, n)]
PARTS = ("score", "logit", "p_target", "p_source", "p_transfer", "p_order", "own", "carry", "bias")


def rule(**values):
    return RuleSpec(**{"reason": "a test", **values})


def forbidding(sources, **where):
    return [rule(source=source, forbid=True, **where) for source in sources]


def fit(folder, name="exit", **model):
    return train_model(
        name, SPEC, write_parts(folder), "unit", MODEL.model_copy(update=model), TRAINING,
        scratch=folder / "scratch",
    )  # fmt: skip


@pytest.fixture(scope="module", params=["carry", "sum"])
def trained(request, tmp_path_factory):
    return fit(tmp_path_factory.mktemp(request.param), combination=request.param)


@pytest.fixture(scope="module")
def carry(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("one"))


# Rules → decisions.

ROWS = pa.table(
    {
        "unit": ["c1", "c1", "c2", None],
        "place": ["home", "out", "home", "home"],
        "user_id": ["u1", "u2", "u1", "u2"],
    }
)
FREE = float("nan")


def test_rules_by_hand(carry):
    rules = [
        rule(unit="c1", source="alpha", forbid=True),
        rule(scene={"place": "home"}, cap=0.4),
        rule(unit="c1", scene={"place": "out"}, source="mid", fix=0.3),
    ]
    found = Policy(rules, carry)(ROWS)  # sources: zeta, alpha, mid
    np.testing.assert_array_equal(
        found.limit, [[0.4, 0, 0.4], [FREE, 0, 0.3], [0.4, 0.4, 0.4], [0.4, 0, 0.4]]
    )
    # Of the last row's unit nothing is known: it may be the one that is forbidden.
    assert found.rule.tolist() == [[1, 0, 1], [-1, 0, 2], [1, 1, 1], [1, 0, 1]]
    assert found.fixed.tolist() == [[False] * 3, [False, False, True], [False] * 3, [False] * 3]
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.take(np.array([1])).forbidden.tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("rules", "acts"),
    [
        ([{"cap": 0.1}, {"forbid": True}], 1),
        ([{"fix": 0.2}, {"cap": 0.1}, {"cap": 0.3}], 1),
        ([{"cap": 0.3}, {"fix": 0.2}], 1),
        ([{"fix": 0.2}, {"cap": 0.2}], 1),  # at most this is stricter than this
        ([{"cap": 0.2}, {"cap": 0.2}], 0),
        ([{"cap": 0}, {"forbid": True}], 0),  # 0 is forbidden, whichever way it is said
        ([{"unit": "c3", "forbid": True}, {"cap": 0.5}], 1),  # it is about other rows
    ],
)
def test_the_strictest_rule_wins(carry, rules, acts):
    found = Policy([rule(**one) for one in rules], carry)(ROWS[:3])
    assert (found.rule == acts).all()
    limits = [one.get("cap", one.get("fix", 0)) for one in rules]
    assert (found.limit == limits[acts]).all()


def test_a_rule_about_a_segment_acts_on_its_users(carry):
    found = Policy([rule(segment={"user_id": "u2"}, forbid=True)], carry)(ROWS)
    assert found.rows.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("effect", "acts"),
    [({"forbid": True}, True), ({"cap": 0.1}, True), ({"fix": 0}, True), ({"fix": 0.5}, False)],
)
@pytest.mark.parametrize("where", [{"scene": {"place": "out"}}, {"segment": {"user_id": "u2"}}])
def test_what_is_not_known_may_be_what_a_rule_forbids(carry, effect, acts, where):
    (name,) = [name for part in where.values() for name in part]
    rows = pa.table({**ROWS.to_pydict(), name: pa.nulls(4, pa.string())})
    found = Policy([rule(**where, **effect)], carry)(rows)
    assert (found.rule == (0 if acts else -1)).all()


def test_without_rules_nothing_is_governed(carry):
    found = Policy((), carry)(ROWS)
    assert len(found.rows) == 0
    assert np.isnan(found.limit).all()


# Refusals.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source: serch, forbid: true", "line 14: policy.0.source: 'serch' is no source; did you mean 'search'?"),
        ("scene: {plce: home}, forbid: true", "line 14: policy.0.scene.plce: 'plce' is no scene column; did you mean 'place'?"),
        ("scene: {place: hme}, forbid: true", "'hme' is no value of place; did you mean 'home'?"),
        ("scene: {hour_band: noon}, cap: 0.1", "known are night, morning, day, evening"),
        ("scene: {day_kind: weekends}, cap: 0.1", "did you mean 'weekend'?"),
        ("segment: {segmnt: s1}, cap: 0.1", "'segmnt' is no attribute of users; did you mean 'segment'?"),
        ("unti: c1, cap: 0.1", "line 14: policy.0.unti: unknown key; did you mean 'unit'?"),
        ("cap: 1.1", "line 14: policy.0.cap: Input should be less than or equal to 1"),
        ("cap: .nan", "policy.0.cap"),
        ("unit: c1", "policy.0: a rule has one of cap, fix, forbid; found 0"),
        ("cap: 0.1, fix: 0.2", "found 2 of them"),
    ],
)  # fmt: skip
def test_a_profile_refuses_what_it_does_not_have(tmp_path, text, words):
    with pytest.raises(ProfileError) as found:
        load_profile(write(tmp_path / "p", f"{PROFILE}policy:\n  - {{{text}, reason: a test}}\n"))
    assert words in str(found.value)


def test_a_rule_needs_a_reason():
    with pytest.raises(ValidationError, match="reason"):
        RuleSpec(forbid=True)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"unit": "c11"}, r"policy.0.unit: 'c11' is no interest unit; did you mean 'c1'\?"),
        ({"source": "zta"}, r"policy.0.source: 'zta' is no source; did you mean 'zeta'\?"),
        ({"segment": {"place": "hom"}}, r"policy.0.segment.place: 'hom' is no value of place; did"),
    ],
)
def test_a_model_refuses_what_its_rows_never_held(carry, values, words):
    with pytest.raises(ProfileError, match=words):
        Scorer(carry, [rule(forbid=True, **values)])


def test_a_model_that_cannot_be_governed(carry, tmp_path):
    for name in ("target_only", "mmoe"):
        with pytest.raises(UsageError, match="carries nothing explicitly"):
            Scorer(fit(tmp_path, name), [rule(forbid=True)])
    never = replace(carry, spec=carry.spec.model_copy(update={"source_dropout": 0.0}))
    with pytest.raises(UsageError, match="never learned"):
        Scorer(never, [rule(forbid=True)])
    with pytest.raises(ModelFileError, match="hour_band"):
        Scorer(carry, [rule(scene={"hour_band": "night"}, cap=0.1)]).score(make_table(3, 9))


def test_a_policy_makes_no_table_and_no_model_stale(tmp_path):
    bare = load_profile(write(tmp_path / "p", PROFILE)).hash
    ruled = load_profile(
        write(tmp_path / "p", PROFILE + "policy: [{forbid: true, reason: a test}]\n")
    )
    assert len(ruled.spec.policy) == 1
    assert ruled.hash == bare


# Scores.


def column(rows, name, values):
    return rows.set_column(rows.schema.get_field_index(name), name, pa.array(values))


def changed(rows, sources, where, seed):
    """The same rows, but what users did in some sources is another story wherever `where` holds."""
    rng, n = np.random.default_rng(seed), rows.num_rows
    for source in sources:
        for name in SPEC.source_numeric[source]:
            other = rng.choice([0.0, 1.0, 7.5, -1e9, 1e30, np.inf, np.nan], n) * rng.random(n)
            rows = column(rows, name, np.where(where, other, np.asarray(rows[name], float)))
    return rows


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(SUBSETS), st.integers(1, 60), st.integers(0, 10**6),
    st.sampled_from([{}, {"unit": "c1"}, {"scene": {"place": "out"}}]),
)  # fmt: skip
def test_nothing_of_a_forbidden_source_reaches_a_score(trained, sources, n, seed, where):
    rows = make_table(n, seed)
    scorer = Scorer(trained, forbidding(sources, **where))
    concerned = np.zeros(n, bool)
    concerned[scorer.policy(rows).rows] = True
    before, after = (scorer.score(r) for r in (rows, changed(rows, sources, concerned, seed)))
    for name in PARTS:
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes(), name
    for source in sources:
        k = SOURCES.index(source)
        assert (before.carry[concerned, k] == 0).all()
        assert (before.p_transfer[concerned, k] == 0).all()


def test_without_the_policy_it_does_reach_the_scores(trained):
    rows, everywhere = make_table(60, 5), np.ones(60, bool)
    for source in SOURCES:
        other = changed(rows, [source], everywhere, 5)
        scorer = Scorer(trained, forbidding([s for s in SOURCES if s != source]))
        assert (scorer.score(rows).score != scorer.score(other).score).any()


def test_rows_that_no_rule_is_about_score_the_same_to_the_bit(trained):
    rows = make_table(500, 5)
    rules = [rule(unit="c1", forbid=True), rule(unit="c2", source="mid", cap=0.1)]
    free, ruled = Scorer(trained).score(rows), Scorer(trained, rules).score(rows)
    untouched = (ruled.rule == -1).all(1)
    assert 0 < untouched.sum() < 500
    for name in PARTS:
        assert (getattr(free, name)[untouched] == getattr(ruled, name)[untouched]).all()
    assert (free.score[~untouched] != ruled.score[~untouched]).any()


def test_a_batch_at_a_time_gives_the_same(trained):
    rows, scorer = make_table(50, 5), Scorer(trained, [rule(unit="c1", cap=0.2)])
    some, whole = scorer.score(rows, batch_rows=7), scorer.score(rows)
    np.testing.assert_allclose(some.score, whole.score, rtol=1e-5)
    assert (some.rule == whole.rule).all()


def own_by_hand(trained, rows, held, k):
    """Logit of own interest where source k is seen to the share that is carried, the others as ever."""
    module, encoder = trained.module, trained.encoder
    categorical, numeric = map(torch.from_numpy, encoder.encode(rows))
    batch = Batch(categorical.long(), numeric, torch.zeros(len(numeric), len(SOURCES)) > 0, {})
    p = torch.from_numpy(held.p_transfer).float()
    met = module.met[categorical[:, module.unit].long()]
    resisted = (numeric[:, module.counts] > 0) * (1 - p) / (1 + (met / 1000) ** 2)
    assert (met > 0).any()
    share = 1 - resisted * (1 - module.taste.sigmoid())
    share[:, k] = torch.minimum(share[:, k], p[:, k])
    resisted[:, k] = 0.0  # of what is governed nothing is taken off
    with torch.inference_mode():
        seen = module.rows.to_share(module.rows(batch, batch.hidden), share)
        off = (F.softplus(module.resistance) * resisted).sum(1)
        return (module.target(seen)[0].mean(0) - off).numpy()


@pytest.mark.parametrize("how", ["cap", "fix"])
def test_a_limit_holds_the_transfer_and_what_the_trunk_sees(trained, how):
    """κ · p_s · p_tr with p_tr held; of the source the trunk sees no more than that."""
    rows = make_table(400, 5)
    free = Scorer(trained).score(rows)
    held = Scorer(trained, [rule(source="alpha", **{how: 0.2})]).score(rows)
    k, others = SOURCES.index("alpha"), [0, 2]
    expected = np.minimum(free.p_transfer[:, k], 0.2) if how == "cap" else np.full(400, 0.2)
    np.testing.assert_allclose(held.p_transfer[:, k], expected, rtol=1e-5)
    own = np.log(held.p_target / (1 - held.p_target))
    np.testing.assert_allclose(own, own_by_hand(trained, rows, held, k), rtol=1e-4)
    np.testing.assert_allclose(held.p_source, free.p_source, rtol=1e-5)
    np.testing.assert_allclose(held.p_transfer[:, others], free.p_transfer[:, others], rtol=1e-5)
    if trained.spec.combination == "carry":
        strength = free.carry / (free.p_source * free.p_transfer)
        np.testing.assert_allclose(
            held.carry, strength * held.p_source * held.p_transfer, rtol=1e-4
        )
        assert (free.p_transfer[:, k] > 0.2).any()
    else:
        whole = held.p_target + (held.p_source * held.p_transfer).max(1)
        np.testing.assert_allclose(held.logit, np.log(whole / (2 - whole)), atol=1e-4)


def test_of_sum_the_most_is_over_what_may_be_carried(tmp_path):
    scorer = Scorer(fit(tmp_path, combination="sum"), forbidding(["zeta"]))
    found = scorer.score(make_table(300, 5))
    may = (found.p_source * found.p_transfer)[:, 1:]
    np.testing.assert_allclose(
        found.carry[:, 1:].argmax(1)[may.max(1) > 1e-3], may.argmax(1)[may.max(1) > 1e-3]
    )
    assert (found.carry[:, 0] == 0).all()


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_the_parts_add_up_under_a_policy(tmp_path, kind):
    training = TRAINING.model_copy(update={"epochs": 1, "calibration": kind})
    model = train_model(
        "exit", SPEC, write_parts(tmp_path), "unit", MODEL, training, scratch=tmp_path / "s"
    )
    rules = [rule(unit="c1", forbid=True), rule(source="mid", cap=0.1), rule(unit="c2", fix=1)]
    found = Scorer(model, rules).score(make_table(300, 9))
    logit = found.own + found.carry.sum(1) + found.bias
    np.testing.assert_allclose(logit, np.log(found.score / (1 - found.score)), atol=1e-9)
    assert set(found.rule.ravel()) == {-1, 0, 1, 2}


# What people are told.


def test_rulings_name_the_rule_its_effect_and_its_reason(carry):
    rules = [rule(source="mid", cap=0.25, reason="too early"), rule(unit="c1", forbid=True)]
    policy = Policy(rules, carry)
    decided = policy(ROWS).rule
    assert policy.rulings(decided[2]) == [Ruling("mid", "policy.0", "capped at 0.25", "too early")]
    assert [(one.source, one.effect) for one in policy.rulings(decided[0])] == [
        (source, "forbidden") for source in SOURCES
    ]


def test_the_cost_of_a_policy(carry):
    rows = make_table(800, 9)
    rules = [rule(unit="c1", forbid=True), rule(unit="c2", source="mid", cap=0.1)]
    cost = policy_cost(carry, rules, rows)
    unit = np.asarray(rows["unit"])
    counts = [int((unit == one).sum()) for one in ("c1", "c2")]
    assert [one.rows for one in cost.rules] == counts
    assert (cost.rows, cost.governed) == (800, sum(counts))
    free, ruled = Scorer(carry).score(rows).score, Scorer(carry, rules).score(rows).score
    assert cost.without["expected"] == pytest.approx(free.mean(), abs=1e-6)
    assert cost.under["expected"] == pytest.approx(ruled.mean(), abs=1e-6)
    assert cost.rules[0].expected_without == pytest.approx(free[unit == "c1"].sum(), abs=1e-3)
    assert cost.rules[0].expected_with == pytest.approx(ruled[unit == "c1"].sum(), abs=1e-3)
    assert cost.without["logloss"] != cost.under["logloss"]
    assert cost.to_dict()["rules"][1]["effect"] == "capped at 0.1"
