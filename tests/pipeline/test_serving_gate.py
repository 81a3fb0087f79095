"""What serves a version must score as it does and can govern it, or it is not promoted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import torch

from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking import split
from exit_pipeline.ranking.nets import nets_of
from exit_pipeline.registry import Registry, life
from exit_pipeline.registry.life import judge
from exit_pipeline.report import build_report
from exit_pipeline.settings import load_settings


def test_a_version_that_the_policy_cannot_govern_is_refused(small_home, simulated):
    version = Registry(small_home.lake.home, "simulated").get(1)
    for unit, passes in (("medicine", True), ("a unit of another year", False)):
        rules = [RuleSpec(unit=unit, forbid=True, reason="a test")]
        spec = simulated.spec.model_copy(update={"policy": rules})
        profile = replace(simulated, spec=spec)
        decision, _ = judge(small_home.lake, profile, version, None, datetime.now(UTC))
        gates = {gate.name: gate for gate in decision.gates}
        assert gates["can be governed"].passed == passes
    assert "policy.0.unit: 'a unit of another year' is no interest unit" in decision.reason


def test_an_engine_that_scores_otherwise_is_refused(small_home, simulated, monkeypatch):
    version = Registry(small_home.lake.home, "simulated").get(1)
    ask = small_home.lake, simulated, version, None, datetime.now(UTC)
    gates = {gate.name: gate for gate in judge(*ask)[0].gates}
    assert gates["served as trained"].passed

    def wrong(*given):
        nets = nets_of(*given)
        with torch.inference_mode():
            nets.bias[0] += 0.1
        return nets

    monkeypatch.setattr(split, "nets_of", wrong)
    decision, _ = judge(*ask)
    assert not decision.promote
    assert "served as trained: scores differ by at most" in decision.reason


def test_what_is_served_is_asked_for_rows_of_all_the_evaluation_part(
    small_home, simulated, monkeypatch
):
    asked = []
    monkeypatch.setattr(life, "SAMPLE", 100)
    monkeypatch.setattr(life, "largest_gap", lambda model, spec, rows: asked.append(rows) or 0.0)
    version = Registry(small_home.lake.home, "simulated").get(1)
    life.judge(small_home.lake, simulated, version, None, datetime.now(UTC))
    (rows,) = asked
    assert rows.num_rows == 100
    bands = rows["hour_band"].to_pylist()
    assert (bands[0], bands[-1]) == ("night", "evening")
    assert len(set(bands)) == len(simulated.spec.scene.hour_bands)


def test_a_version_is_not_promoted_past_a_check_that_failed(small_home, simulated, monkeypatch):
    told = ["events:great_expectations on 2026-01-06"]
    monkeypatch.setattr(life, "failed_checks", lambda lake, spec: told)
    _, decision, _ = life.evaluate_version(small_home.lake, simulated, 1)
    report = build_report(load_settings(home=small_home.root), small_home.lake, simulated, 1)
    for one in (decision, report.decision):
        assert f"upstream checks: {told[0]} (limit" in one.reason


def test_segments_are_slices_that_the_gates_look_at(small_home, simulated):
    version = Registry(small_home.lake.home, "simulated").get(1)
    for segment, values in ((None, 0), ("segment", 4), ("age_band", 4)):
        profile = replace(simulated, spec=simulated.spec.model_copy(update={"segment": segment}))
        _, scored = judge(small_home.lake, profile, version, None, datetime.now(UTC))
        for one in scored.values():
            named = [name for name in one.masks if name.startswith("segment ")]
            assert len(named) == values
            assert sum(one.by_slice[name]["rows"] for name in named) in (0, len(one.y))
