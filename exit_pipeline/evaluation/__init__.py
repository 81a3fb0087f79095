"""Evaluation: metrics, slices, paired bootstrap, and the gates of promotion."""

from exit_pipeline.evaluation.evaluate import Evaluation, evaluate
from exit_pipeline.evaluation.gates import Decision, GateResult, decide

__all__ = ["Decision", "Evaluation", "GateResult", "decide", "evaluate"]
