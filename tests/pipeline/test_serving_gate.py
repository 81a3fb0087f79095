"""What serves a version must score as it does and can govern it, or it is not promoted.

And what the gates said holds as long as what they were asked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import torch

from exit_pipeline.evaluation import Decision, Evaluation
from exit_pipeline.profile.learning import GatesSpec
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking import split
from exit_pipeline.ranking.nets import nets_of
from exit_pipeline.registry import Registry, judging, life
from exit_pipeline.report import build, build_report
from exit_pipeline.settings import load_settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def judged(home, profile) -> tuple[Decision, dict[str, Evaluation]]:
    """What the gates say of version 1 where there is no champion, and what was scored."""
    version = Registry(home.lake.home, "simulated").get(1)
    held = judging.contest(home.lake, profile, version, None)
    decision = judging.judge(home.lake, profile, version, None, datetime.now(UTC), held)
    return decision, held.scored


def test_a_version_that_the_policy_cannot_govern_is_refused(small_home, simulated):
    for unit, passes in (("medicine", True), ("a unit of another year", False)):
        rules = (RuleSpec(unit=unit, forbid=True, reason="a test"),)
        spec = simulated.spec.model_copy(update={"policy": rules})
        profile = replace(simulated, spec=spec)
        decision, _ = judged(small_home, profile)
        gates = {gate.name: gate for gate in decision.gates}
        assert gates["can be governed"].passed == passes
    assert "policy.0.unit: 'a unit of another year' is no interest unit" in decision.reason


def test_a_fast_scorer_that_scores_otherwise_is_refused(small_home, simulated, monkeypatch):
    gates = {gate.name: gate for gate in judged(small_home, simulated)[0].gates}
    assert gates["served as trained"].passed

    def wrong(*given):
        nets = nets_of(*given)
        with torch.inference_mode():
            nets.bias[0] += 0.1
        return nets

    monkeypatch.setattr(split, "nets_of", wrong)
    decision, _ = judged(small_home, simulated)
    assert not decision.promote
    assert "served as trained: scores differ by at most" in decision.reason


def test_what_is_served_is_asked_for_rows_of_all_the_evaluation_part(
    small_home, simulated, monkeypatch
):
    asked = []
    monkeypatch.setattr(judging, "SAMPLE", 100)
    monkeypatch.setattr(judging, "largest_gap", lambda model, spec, rows: asked.append(rows) or 0.0)
    judged(small_home, simulated)
    (rows,) = asked
    assert rows.num_rows == 100
    bands = rows["hour_band"].to_pylist()
    assert (bands[0], bands[-1]) == ("night", "evening")
    assert len(set(bands)) == len(simulated.spec.scene.hour_bands)


def test_a_version_is_not_promoted_past_a_check_that_failed(small_home, simulated, monkeypatch):
    told = ["events:great_expectations on 2026-01-06"]
    monkeypatch.setattr(judging, "failed_checks", lambda lake, spec: told)
    _, decision, _ = life.evaluate_version(small_home.lake, simulated, 1)
    report = build_report(load_settings(home=small_home.root), small_home.lake, simulated, 1)
    for one in (decision, report.decision):
        assert f"upstream checks: {told[0]} (limit" in one.reason


def test_segments_are_slices_that_the_gates_look_at(small_home, simulated):
    for segment, values in ((None, 0), ("segment", 4), ("age_band", 4)):
        profile = replace(simulated, spec=simulated.spec.model_copy(update={"segment": segment}))
        _, scored = judged(small_home, profile)
        for one in scored.values():
            named = [name for name in one.masks if name.startswith("segment ")]
            assert len(named) == values
            assert sum(one.by_slice[name]["rows"] for name in named) in (0, len(one.y))


def test_what_the_gates_said_is_not_asked_twice(small_home, simulated, monkeypatch):
    _, decision, _ = life.evaluate_version(small_home.lake, simulated, 1)
    monkeypatch.setattr(life, "contest", never)
    assert life.decision_about(small_home.lake, simulated, 1) == (1, decision)


def test_the_report_shows_what_was_decided(small_home, simulated, monkeypatch):
    """It was when there was no champion, which by now the version itself is."""
    decision, _ = judged(small_home, simulated)
    kept = {"decision": decision.to_dict()}
    monkeypatch.setattr(Registry, "document", lambda *_: kept)
    monkeypatch.setattr(build, "judge", never)
    settings = load_settings(home=small_home.root)
    assert build_report(settings, small_home.lake, simulated, 1).decision == decision


RULE = RuleSpec(unit="medicine", forbid=True, reason="a test")


@pytest.mark.parametrize(
    "changed",
    [
        {"champion": {"version": 8}},
        {"champion": {"created": NOW - timedelta(days=1)}},
        {"found": {"withdrawn": "it hurt"}},
        {"spec": {"gates": GatesSpec(max_ece=0.001)}},
        {"spec": {"policy": (RULE,)}},
        {"failed_checks": ["events:great_expectations on 2026-01-06"]},
        {"code_version": "another"},
    ],
    ids=["champion", "its age", "rollback", "gates", "policy", "checks", "code"],
)
def test_it_is_asked_again_where_what_it_hangs_on_changed(
    small_home, simulated, monkeypatch, changed
):
    lake, found = small_home.lake, Registry(small_home.lake.home, "simulated").get(1)
    champion = replace(found, version=7, created=NOW)
    asked = judging.question(lake, simulated, found, champion, NOW)
    kept = {"decision": Decision(True, "it was better", [], 7, asked).to_dict()}
    monkeypatch.setattr(Registry, "document", lambda *_: kept)
    assert judging.kept_decision(lake, simulated, found, champion, NOW).question == asked
    found = replace(found, **changed.get("found", {}))
    champion = replace(champion, **changed.get("champion", {}))
    spec = simulated.spec.model_copy(update=changed.get("spec", {}))
    for name in changed.keys() & {"failed_checks", "code_version"}:
        monkeypatch.setattr(judging, name, lambda *_, name=name: changed[name])
    profile = replace(simulated, spec=spec)
    assert judging.kept_decision(lake, profile, found, champion, NOW) is None


def test_it_is_asked_again_where_nothing_is_kept(small_home, simulated, monkeypatch):
    found = Registry(small_home.lake.home, "simulated").get(1)
    ask = small_home.lake, simulated, found, None, NOW
    # Nothing, and what an earlier version of this package kept.
    for kept in (None, {"decision": {"promote": True, "champion": None}}):
        monkeypatch.setattr(Registry, "document", lambda *_, kept=kept: kept)
        assert judging.kept_decision(*ask) is None


def never(*given):
    """What must not be called."""
    raise AssertionError("what was kept holds")
