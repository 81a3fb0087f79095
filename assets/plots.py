"""Plots for Dagster's metadata, as pictures inside Markdown."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from exit_pipeline.evaluation import Evaluation


def learning_curve(history: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Validation logloss by epoch, a line per model."""
    figure, axes = _figure()
    for role, epochs in history.items():
        axes.plot([e["number"] + 1 for e in epochs], [e["validation_logloss"] for e in epochs],
                  marker="o", label=role)  # fmt: skip
    axes.set(xlabel="epoch", ylabel="validation logloss")
    axes.legend()
    return _markdown(figure, "learning curve")


def reliability(scored: Mapping[str, Evaluation]) -> str:
    """Mean outcome against mean prediction in 15 bins of equal mass, a line per model."""
    figure, axes = _figure()
    highest = 0.0
    for role, evaluation in scored.items():
        parts = np.array_split(np.argsort(evaluation.score, kind="stable"), 15)
        predicted = [evaluation.score[part].mean() for part in parts]
        actual = [evaluation.y[part].mean() for part in parts]
        highest = max(highest, *predicted, *actual)
        axes.plot(predicted, actual, marker="o", markersize=3, label=role)
    axes.plot([0, highest], [0, highest], color="grey", linewidth=0.7)
    axes.set(xlabel="predicted", ylabel="actual")
    axes.legend()
    return _markdown(figure, "reliability")


def _figure() -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    return figure, figure.subplots()


def _markdown(figure: Figure, title: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
