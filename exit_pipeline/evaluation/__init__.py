"""Evaluation: metrics, slices, paired bootstrap, and the gates of promotion."""

from exit_pipeline.evaluation.evaluate import Evaluation, evaluate
from exit_pipeline.evaluation.gates import Decision, GateResult, decide
from exit_pipeline.evaluation.governed import PolicyCost, policy_cost

__all__ = [
    "Decision",
    "Evaluation",
    "GateResult",
    "PolicyCost",
    "decide",
    "evaluate",
    "policy_cost",
]
