"""Scores rows with a trained model, and takes each score apart; training and serving call this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.policy import Governed, Policy
from exit_pipeline.training.artifact import TrainedModel, load_model


@dataclass(frozen=True)
class Scores:
    """What n rows scored; `own + Σ_k carry + bias` is the calibrated logit.

    Platt's map scales the parts and adds a constant. An isotonic one has no parts: they stay as
    the model made them, and the bias of a row is what calibration moved it by.

    Args:
        score: float64[n], the calibrated probability of the outcome.
        logit: float64[n], before calibration; it orders rows that an isotonic map made equal.
        own: float64[n], part of the calibrated logit that is target interest.
        carry: float64[n, K], parts that came over from each source.
        bias: float64[n], the calibration's part.
        rule: int64[n, K], index of the policy's rule that acted on the source, −1 where none.
        target: float64[n], z_t.
        source: float64[n, K], z_s.
        transfer: float64[n, K], z_tr.
        order: float64[n], logit of an order given the outcome; ∞ where an order is the outcome.
    """

    score: np.ndarray
    logit: np.ndarray
    own: np.ndarray
    carry: np.ndarray
    bias: np.ndarray
    rule: np.ndarray
    target: np.ndarray
    source: np.ndarray
    transfer: np.ndarray
    order: np.ndarray

    @property
    def p_target(self) -> np.ndarray:
        """float64[n], of own interest alone, before calibration."""
        return _sigmoid(self.target)

    @property
    def p_source(self) -> np.ndarray:
        """float64[n, K]."""
        return _sigmoid(self.source)

    @property
    def p_transfer(self) -> np.ndarray:
        """float64[n, K]."""
        return _sigmoid(self.transfer)

    @property
    def p_order(self) -> np.ndarray:
        """float64[n], of an order: score × p(order | outcome)."""
        return self.score * _sigmoid(self.order)

    def take(self, rows: Sequence[int] | np.ndarray) -> Scores:
        """Returns some of the rows."""
        return Scores(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


class Scorer:
    """A trained model, ready to score.

    Args:
        model: Its scores do not depend on which rows are scored together.
        policy: Rules that govern transfer. A row that none of them is about scores as without
            them, to the bit. In the others a forbidden source is hidden from all of the network
            and carries 0. Of a source with a limit p_transfer is held, and the trunk sees it to
            that share at most: with a fixed value of 1, all that its gate shows anyway.

    Raises:
        UsageError: The model cannot be governed.
        ProfileError: A rule names what the model does not know.
    """

    def __init__(self, model: TrainedModel, policy: Sequence[RuleSpec] = ()) -> None:
        self.model = model
        self.policy = Policy(policy, model)

    @classmethod
    def load(cls, folder: Path, policy: Sequence[RuleSpec] = ()) -> Scorer:
        """Reads a model's folder; see `load_model`."""
        return cls(load_model(folder), policy)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that the model reads, in the order of its outputs."""
        return self.model.encoder.spec.sources

    @torch.inference_mode()
    def score(self, rows: pa.Table | pa.RecordBatch, batch_rows: int = 8192) -> Scores:
        """Scores n rows that have the model's input columns."""
        categorical, numeric = self.model.encoder.encode(rows)
        governed = self.policy(rows)
        parts: dict[str, list[np.ndarray]] = {}
        for start in range(0, max(len(categorical), 1), batch_rows):
            at = slice(start, start + batch_rows)
            batch = Batch(
                torch.from_numpy(categorical[at].astype(np.int64)),
                torch.from_numpy(numeric[at]),
                torch.zeros(len(categorical[at]), len(self.sources), dtype=torch.bool),
                {},
            )
            for name, values in self._outputs(batch, governed.take(at)).items():
                parts.setdefault(name, []).append(values)
        out = {name: np.concatenate(values) for name, values in parts.items()}
        return self.scores(out, governed.rule)

    def _outputs(self, batch: Batch, governed: Governed) -> dict[str, np.ndarray]:
        """A pass over all rows, and one more over those that a rule acts on."""
        found, rows = self._pass(batch), governed.rows
        if len(rows):
            ruled = governed.take(rows)
            again = self._pass(
                Batch(
                    batch.categorical[rows],
                    batch.numeric[rows],
                    torch.from_numpy(ruled.forbidden),
                    {},
                    torch.from_numpy(ruled.bounds),
                )
            )
            for name, values in again.items():
                found[name][rows] = values
        return found

    def _pass(self, batch: Batch) -> dict[str, np.ndarray]:
        return arrays(self.model.module(batch))

    def scores(self, out: Mapping[str, np.ndarray], rule: np.ndarray) -> Scores:
        """Calibrates what the network said of n rows (see `arrays`)."""
        calibration = self.model.calibration
        # Summed here in 64 bits, so that the parts add up to what is calibrated.
        logit = out["own"] + out["carry"].sum(1)
        calibrated, slope = calibration(logit), calibration.slope
        an_order = self.model.outcome == "order"
        return Scores(
            score=_sigmoid(calibrated),
            logit=logit,
            own=slope * out["own"],
            carry=slope * out["carry"],
            bias=calibrated - slope * logit,
            rule=rule,
            target=out["target"],
            source=out["source"],
            transfer=out["transfer"],
            order=np.full(len(logit), np.inf) if an_order else out["order"],
        )


def arrays(out: Outputs) -> dict[str, np.ndarray]:
    """Returns what of a network's outputs makes scores, as float64."""
    names = ("own", "carry", "target", "source", "transfer", "order")
    return {name: getattr(out, name).double().numpy() for name in names}


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))
