"""What a policy costs, by the model's own expectation, on evaluation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from exit_pipeline.evaluation.metrics import summary
from exit_pipeline.evaluation.rows import outcomes
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.policy import FREE
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training.artifact import TrainedModel


@dataclass(frozen=True)
class RuleCost:
    """What one rule did.

    Args:
        rule: Its key in the profile, such as `policy.0`.
        effect: In words.
        reason: The profile's.
        rows: Exposures in which it acted on some source.
        expected_without: Outcomes that the model expects of those exposures without the policy.
        expected_with: The same under the policy.
    """

    rule: str
    effect: str
    reason: str
    rows: int
    expected_without: float
    expected_with: float


@dataclass(frozen=True)
class PolicyCost:
    """Scores of the same exposures without and with a policy.

    Args:
        rows: Exposures.
        governed: Exposures on which some rule acted.
        without: Metrics, and `expected`: the mean score, outcomes per exposure.
        under: The same under the policy.
        rules: By rule, in the profile's order.
    """

    rows: int
    governed: int
    without: dict[str, Any]
    under: dict[str, Any]
    rules: list[RuleCost]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


def policy_cost(model: TrainedModel, policy: Sequence[RuleSpec], rows: pa.Table) -> PolicyCost:
    """Scores some rows without and with a policy (ours).

    The exposures are those that were shown: what another ranking would have shown, and what that
    brings, only an experiment says.

    Args:
        model: The model.
        policy: The rules.
        rows: The evaluation part: what the model reads, and the columns that the rules name.

    Raises:
        UsageError: The model cannot be governed.
        ProfileError: A rule names what the model does not know.
    """
    free, ruled = Scorer(model).score(rows), Scorer(model, policy).score(rows)
    y, user = outcomes(rows)

    def figures(score: np.ndarray) -> dict[str, Any]:
        return {"expected": round(float(score.mean()), 6), **summary(y, score, user)}

    rules = []
    for number, rule in enumerate(policy):
        acted = (ruled.rule == number).any(1)
        expected = (round(float(s.score[acted].sum()), 4) for s in (free, ruled))
        told = f"policy.{number}", rule.effect, rule.reason
        rules.append(RuleCost(*told, int(acted.sum()), *expected))
    governed = int((ruled.rule != FREE).any(1).sum())
    return PolicyCost(len(y), governed, figures(free.score), figures(ruled.score), rules)
