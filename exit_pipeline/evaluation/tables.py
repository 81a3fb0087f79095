"""Evaluations and decisions as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping

from exit_pipeline.evaluation.evaluate import Evaluation
from exit_pipeline.evaluation.gates import Decision

COLUMNS = ("auc", "gauc", "logloss", "ece", "predicted_to_actual", "rows", "positives")


def comparison(scored: Mapping[str, Evaluation]) -> str:
    """All rows and each slice, a line per model."""
    lines = [f"| slice | model | {' | '.join(COLUMNS)} |", f"|{'---|' * (len(COLUMNS) + 2)}"]
    parts = {"all": {role: e.metrics for role, e in scored.items()}}
    for role, evaluation in scored.items():
        for name, metrics in evaluation.by_slice.items():
            parts.setdefault(name, {})[role] = metrics
    for name, by_role in parts.items():
        for role, metrics in by_role.items():
            values = " | ".join(_number(metrics[column]) for column in COLUMNS)
            lines.append(f"| {name.replace('|', ' · ')} | {role} | {values} |")
    return "\n".join(lines)


def gates(decision: Decision) -> str:
    """The decision and what every gate measured."""
    lines = [f"**{'promote' if decision.promote else 'refuse'}**: {decision.reason}", ""]
    lines += ["| gate | passed | measured | limit |", "|---|---|---|---|"]
    for gate in decision.gates:
        mark = "yes" if gate.passed else "**no**"
        lines.append(f"| {gate.name} | {mark} | {gate.measured} | {gate.limit} |")
    return "\n".join(lines)


def _number(value: float | int | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
