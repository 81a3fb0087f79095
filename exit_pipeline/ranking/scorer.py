"""Scores rows with a trained model, and takes each score apart; training and serving call this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from exit_pipeline.model.inputs import Batch
from exit_pipeline.training.artifact import TrainedModel, load_model


@dataclass(frozen=True)
class Scores:
    """What n rows scored; `own + Σ_k carry + bias` is the calibrated logit (Platt).

    Args:
        score: float64[n], the calibrated probability of the outcome.
        p_target: float64[n], of own interest alone, before calibration.
        p_source: float64[n, K].
        p_transfer: float64[n, K].
        p_order: float64[n], of an order: score × p(order | click).
        own: float64[n], calibrated part of the logit that is target interest.
        carry: float64[n, K], calibrated parts that came over from each source.
        bias: The calibration's constant.
    """

    score: np.ndarray
    p_target: np.ndarray
    p_source: np.ndarray
    p_transfer: np.ndarray
    p_order: np.ndarray
    own: np.ndarray
    carry: np.ndarray
    bias: float


class Scorer:
    """A trained model, ready to score.

    Args:
        model: Its scores do not depend on which rows are scored together.
    """

    def __init__(self, model: TrainedModel) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Reads a model's folder; see `load_model`."""
        return cls(load_model(folder))

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that the model reads, in the order of its outputs."""
        return self.model.encoder.spec.sources

    @torch.inference_mode()
    def score(self, rows: pa.Table | pa.RecordBatch, batch_rows: int = 8192) -> Scores:
        """Scores n rows that have the model's input columns."""
        categorical, numeric = self.model.encoder.encode(rows)
        parts: dict[str, list[np.ndarray]] = {}
        for start in range(0, max(len(categorical), 1), batch_rows):
            at = slice(start, start + batch_rows)
            batch = Batch(
                torch.from_numpy(categorical[at].astype(np.int64)),
                torch.from_numpy(numeric[at]),
                {},
            )
            out = self.model.module(batch)
            for name in ("logit", "own", "carry", "source", "transfer", "order"):
                parts.setdefault(name, []).append(getattr(out, name).double().numpy())
        return self._scores({name: np.concatenate(values) for name, values in parts.items()})

    def _scores(self, out: dict[str, np.ndarray]) -> Scores:
        calibration = self.model.calibration
        score = _sigmoid(calibration(out["logit"]))
        return Scores(
            score=score,
            p_target=_sigmoid(out["own"]),
            p_source=_sigmoid(out["source"]),
            p_transfer=_sigmoid(out["transfer"]),
            p_order=score * _sigmoid(out["order"]),
            own=calibration.slope * out["own"],
            carry=calibration.slope * out["carry"],
            bias=calibration.bias,
        )


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))
