"""The fast scorer's scores are the scorer's, whatever is known of user, items, groups and scene."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from exit_pipeline.errors import ModelFileError, UsageError
from exit_pipeline.profile import load_profile
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking import kernels, split
from exit_pipeline.ranking.fast_scorer import FastScorer
from exit_pipeline.ranking.nets import nets_of
from exit_pipeline.ranking.rows import UserRow
from exit_pipeline.ranking.scorer import Scorer, Scores
from exit_pipeline.ranking.split import Split, largest_gap
from exit_pipeline.training.calibrate import Calibration
from tests.unit.serving import ITEMS, NOW, SCENE, model, snapshot, user

SPEC = load_profile("simulated").spec
BY_ITEM = SPEC.model_copy(update={"interest_unit": "item_id"})
RULES = [
    RuleSpec(unit="c1", source="search", forbid=True, reason="a test"),
    RuleSpec(scene={"place": "home"}, source="channel", cap=0.3, reason="a test"),
    RuleSpec(unit="c3", fix=0.4, reason="a test"),
    RuleSpec(segment={"segment": "segment1"}, source="search", cap=0.2, reason="a test"),
]
FORMS = [
    ("exit", {}),
    ("exit", {"id_dropout": 0.1}),
    ("exit", {"combination": "sum"}),
    ("exit", {"trunk": "open"}),
    ("exit", {"trunk": "closed"}),
    ("exit", {"ssn": "constant"}),
    ("exit", {"members": 1, "hidden": (16,)}),
    ("target_only", {}),
    ("features", {}),
    ("towers", {"id_dropout": 0.0}),
]


def compare(spec, trained, rules, seed, who=None, scene=SCENE) -> Scores:
    held = snapshot(spec, seed)
    who = who or user(spec, seed)
    rng = np.random.default_rng(seed)
    items = [f"i{n}" for n in rng.permutation(ITEMS + 10)[: 1 + seed * 17]]
    expected = Scorer(trained, rules).score(held.rows(who, items, scene, NOW)[0])
    fast = FastScorer(Scorer(trained, rules), held)
    found = fast.score(who, held.candidates(items, NOW), scene, NOW)
    for field in fields(Scores):
        one, other = (getattr(scores, field.name) for scores in (found, expected))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=field.name)
    return found


@pytest.mark.parametrize("spec", [SPEC, BY_ITEM], ids=["by category", "by item"])
@pytest.mark.parametrize(("name", "form"), FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_the_scorers(spec, name, form, seed):
    found = compare(spec, model(spec, name, seed, **form), [], seed)
    assert seed == 0 or np.ptp(found.score) > 0.02


@pytest.mark.parametrize("form", [{}, {"id_dropout": 0.1}])
def test_words_of_many_are_multiplied_when_they_are_asked_for(monkeypatch, form):
    monkeypatch.setattr("exit_pipeline.ranking.share.FEW", 1)
    compare(SPEC, model(SPEC, **form), RULES, 3)


def test_no_request_waits_for_a_loop_to_be_compiled():
    def compiled() -> dict[str, int]:
        loops = {n: f for n, f in vars(kernels).items() if hasattr(f, "signatures")}
        return {name: len(loop.signatures) for name, loop in loops.items()}

    held, trained = snapshot(SPEC, 3), model(SPEC)
    fast, before = FastScorer(Scorer(trained, RULES), held), compiled()
    for items in (["i1"], [f"i{n}" for n in range(ITEMS + 5)]):
        fast.score(user(SPEC, 3), held.candidates(items, NOW), SCENE, NOW)
    assert compiled() == before
    assert before["trunk"] >= 1


def test_candidates_of_another_snapshot_are_refused():
    fast, other = FastScorer(Scorer(model(SPEC)), snapshot(SPEC)), snapshot(SPEC, 1)
    few = other.candidates(["i1"], NOW)
    with pytest.raises(IndexError, match="another snapshot"):
        fast.score(user(SPEC), replace(few, rows=few.rows + ITEMS + 1), SCENE, NOW)


@pytest.mark.parametrize("form", [{}, {"combination": "sum"}, {"trunk": "open"},
                                  {"trunk": "closed"}])  # fmt: skip
@pytest.mark.parametrize("seed", range(1, 5))
def test_and_under_a_policy(form, seed):
    found = compare(SPEC, model(SPEC, **form), RULES, seed)
    assert set(np.unique(found.rule)) >= {-1, 1}


def test_and_of_nobody_in_a_scene_that_says_nothing():
    compare(SPEC, model(SPEC), [], 3, UserRow.unknown(SPEC, "nobody", "-"), {})
    compare(SPEC, model(SPEC), RULES, 3, UserRow.unknown(SPEC, "nobody", "-"), {})
    somebody = user(SPEC, 3).values | {"segment": "segment1"}
    assert 3 in compare(SPEC, model(SPEC), RULES, 3, UserRow("u3", somebody)).rule


def test_many_candidates_are_scored_a_part_at_a_time(monkeypatch):
    monkeypatch.setattr("exit_pipeline.ranking.fast_scorer.ROWS", 7)
    compare(SPEC, model(SPEC), RULES, 3)


def test_nothing_of_a_forbidden_source_reaches_a_score():
    """What the user did there may be anything: the scores are the same to the bit."""
    rules = [RuleSpec(source="search", forbid=True, reason="-")]
    fast = FastScorer(Scorer(model(SPEC), rules), snapshot(SPEC, 2))
    candidates = fast.snapshot.candidates([f"i{n}" for n in range(ITEMS)], NOW)
    one, other = user(SPEC, 2).values, user(SPEC, 5).values
    changed = one | {
        n: v for n, v in other.items() if n.startswith("search_") or n == "user_search"
    }
    before, after = (fast.score(UserRow("u1", u), candidates, SCENE, NOW) for u in (one, changed))
    assert one != changed
    for field in fields(Scores):
        assert getattr(before, field.name).tobytes() == getattr(after, field.name).tobytes()


def test_a_net_that_was_taken_apart_wrongly_shows(monkeypatch):
    trained, held = model(SPEC), snapshot(SPEC, 3)
    rows = pa.table(held.rows(user(SPEC, 3), held.items["item_id"].to_pylist(), SCENE, NOW)[0])
    assert largest_gap(trained, SPEC, rows) < 1e-6
    monkeypatch.setattr(split, "nets_of", lambda *given: wrong(nets_of(*given)))
    assert largest_gap(trained, SPEC, rows) > 1e-5


def test_a_position_that_was_logged_is_known_to_nobody_who_scores():
    spec = SPEC.model_copy(update={"use_position": True})
    trained, held = model(spec), snapshot(spec, 3)
    rows = pa.table(held.rows(user(spec, 3), held.items["item_id"].to_pylist(), SCENE, NOW)[0])
    logged = pa.array(np.arange(rows.num_rows) % 10, pa.int32())
    rows = rows.set_column(rows.schema.get_field_index("position"), "position", logged)
    assert largest_gap(trained, spec, rows) < 1e-6


def test_a_steep_calibration_makes_nothing_of_a_rounding():
    trained, held = model(SPEC), snapshot(SPEC, 3)
    rows = pa.table(held.rows(user(SPEC, 3), held.items["item_id"].to_pylist(), SCENE, NOW)[0])
    served, whole = (s.score(rows).logit for s in (Split(trained, SPEC), Scorer(trained)))
    furthest = np.abs(served - whole).argmax()
    low, high = sorted([served[furthest], whole[furthest]])
    between = Calibration("isotonic", knots=[low, high], values=[-1.0, 1.0])
    steep = replace(trained, calibration=between)
    one, other = (s.score(rows).score for s in (Split(steep, SPEC), Scorer(steep)))
    assert np.abs(one - other).max() > 0.4
    assert largest_gap(steep, SPEC, rows) < 1e-6


def wrong(nets):
    """A member's head is a little off."""
    with torch.inference_mode():
        nets.nets[0].head[0, 0] += 0.01
    return nets


def test_other_forms_and_other_profiles_are_refused():
    with pytest.raises(UsageError, match="'mmoe' is not taken apart"):
        FastScorer(Scorer(model(SPEC, "mmoe")), snapshot(SPEC))
    fewer = SPEC.model_copy(update={"users": {}})
    with pytest.raises(ModelFileError, match="segment, age_band"):
        FastScorer(Scorer(model(SPEC)), snapshot(fewer))
