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
    """What n rows scored; `own + Σ_k carry + bias` is the calibrated logit.

    Platt's map scales the parts and adds a constant. An isotonic one has no parts: they stay as
    the model made them, and the bias of a row is what calibration moved it by.

    Args:
        score: float64[n], the calibrated probability of the outcome.
        logit: float64[n], before calibration; it orders rows that an isotonic map made equal.
        p_target: float64[n], of own interest alone, before calibration.
        p_source: float64[n, K].
        p_transfer: float64[n, K].
        p_order: float64[n], of an order: score × p(order | outcome), or the score itself where an
            order is the outcome.
        own: float64[n], part of the calibrated logit that is target interest.
        carry: float64[n, K], parts that came over from each source.
        bias: float64[n], the calibration's part.
    """

    score: np.ndarray
    logit: np.ndarray
    p_target: np.ndarray
    p_source: np.ndarray
    p_transfer: np.ndarray
    p_order: np.ndarray
    own: np.ndarray
    carry: np.ndarray
    bias: np.ndarray


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
                torch.zeros(len(categorical[at]), len(self.sources), dtype=torch.bool),
                {},
            )
            out = self.model.module(batch)
            for name in ("own", "carry", "target", "source", "transfer", "order"):
                parts.setdefault(name, []).append(getattr(out, name).double().numpy())
        return self._scores({name: np.concatenate(values) for name, values in parts.items()})

    def _scores(self, out: dict[str, np.ndarray]) -> Scores:
        calibration = self.model.calibration
        # Summed here in 64 bits, so that the parts add up to what is calibrated.
        logit = out["own"] + out["carry"].sum(1)
        calibrated, slope = calibration(logit), calibration.slope
        score = _sigmoid(calibrated)
        return Scores(
            score=score,
            logit=logit,
            p_target=_sigmoid(out["target"]),
            p_source=_sigmoid(out["source"]),
            p_transfer=_sigmoid(out["transfer"]),
            p_order=score if self.model.outcome == "order" else score * _sigmoid(out["order"]),
            own=slope * out["own"],
            carry=slope * out["carry"],
            bias=calibrated - slope * logit,
        )


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))
