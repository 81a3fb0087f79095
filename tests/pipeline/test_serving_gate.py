"""What serves a version must score as the version does, or it is not promoted."""

from __future__ import annotations

from datetime import UTC, datetime

import torch

from exit_pipeline.ranking import split
from exit_pipeline.ranking.nets import nets_of
from exit_pipeline.registry import Registry
from exit_pipeline.registry.life import judge


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
