"""Scores the evaluation part and says how good a model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.evaluation.metrics import logloss_rows, summary
from exit_pipeline.evaluation.rows import outcomes
from exit_pipeline.evaluation.slices import slices
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training.memorized import Memorized


@dataclass(frozen=True)
class Evaluation:
    """A model's scores on evaluation rows.

    Args:
        metrics: Over all rows.
        by_slice: Metrics by slice; a slice of one class has no AUC.
        transfer: Mean p_tr ÷ mean a where y_s = 1, by source; None where nothing carries.
        p_transfer: Mean p_tr where y_s = 1, by source; 0 without such rows.
        consistent: Mean a there.
        shown: Rows with y_s = 1, by source: the support of all three.
        loss: float64[n], logloss per row.
        score: float64[n].
        y: float64[n].
        user: int32[n], users as numbers.
        masks: bool[n] by slice.
        memorized: What thin groups lose from training to validation; None where it is not told.
    """

    metrics: dict[str, Any]
    by_slice: dict[str, dict[str, Any]]
    transfer: dict[str, float | None]
    p_transfer: dict[str, float]
    consistent: dict[str, float]
    shown: dict[str, int]
    loss: np.ndarray
    score: np.ndarray
    y: np.ndarray
    user: np.ndarray
    masks: dict[str, np.ndarray]
    memorized: Memorized | None = None

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        return {
            "all": self.metrics,
            "slices": self.by_slice,
            "transfer": self.transfer,
            "p_transfer": self.p_transfer,
            "consistent": self.consistent,
            "transfer_rows": self.shown,
            "memorized": self.memorized and self.memorized.to_dict(),
        }


def evaluate(scorer: Scorer, rows: pa.Table, segment: str | None = None) -> Evaluation:
    """Scores the evaluation part.

    Args:
        scorer: The model.
        rows: What `read_rows` read for it.
        segment: The user attribute that the profile names so, if slices are to be made of it.
    """
    found, (y, user) = scorer.score(rows), outcomes(rows)
    masks = dict(slices(rows, scorer.model.encoder, segment))
    by_slice = {
        name: summary(y[mask], found.score[mask], user[mask])
        for name, mask in masks.items()
        if mask.any()
    }
    transfer, p_transfer, consistent, shown = _transfer(rows, scorer.sources, found.p_transfer)
    return Evaluation(
        metrics=summary(y, found.score, user),
        by_slice=by_slice,
        transfer=transfer,
        p_transfer=p_transfer,
        consistent=consistent,
        shown=shown,
        memorized=scorer.model.memorized,
        loss=logloss_rows(y, found.score),
        score=found.score,
        y=y,
        user=user,
        masks=masks,
    )


def _transfer(
    rows: pa.Table, sources: Sequence[str], p_transfer: np.ndarray
) -> tuple[dict[str, float | None], dict[str, float], dict[str, float], dict[str, int]]:
    ratios: dict[str, float | None] = {}
    means: dict[str, float] = {}
    labels: dict[str, float] = {}
    support: dict[str, int] = {}
    for k, source in enumerate(sources[: p_transfer.shape[1]]):
        shown = np.asarray(pc.equal(rows[f"ys_{source}"], 1))
        carries = np.asarray(rows[f"consistent_{source}"])[shown]
        support[source] = len(carries)
        said, mean = (x.mean() if len(carries) else 0.0 for x in (p_transfer[shown, k], carries))
        means[source], labels[source] = round(float(said), 4), round(float(mean), 4)
        ratios[source] = round(float(said / mean), 4) if mean else None
    return ratios, means, labels, support
