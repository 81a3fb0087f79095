"""Whether a model learned thin groups by heart: it then knows their training rows too well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from exit_pipeline.model.encoders import Encoder
from exit_pipeline.training.calibrate import Calibration
from exit_pipeline.training.loop import predict
from exit_pipeline.training.rows import EncodedRows

HISTORY = "group_shown"
# Of training rows as many are looked at as of validation rows, and at least this many.
LEAST_ROWS = 50_000


@dataclass(frozen=True)
class Memorized:
    """What thin groups lose from training to validation beyond what the others lose.

    Args:
        gap: [loss(validation) − loss(training)] of thin groups less that of the others (ours).
        rows: Validation rows of thin groups: the support.
    """

    gap: float
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"gap": self.gap, "rows": self.rows}


def memorized(
    model: nn.Module,
    parts: Mapping[str, EncodedRows],
    encoder: Encoder,
    calibration: Calibration,
    device: torch.device,
) -> Memorized | None:
    """Compares thin groups, those in the lowest bin of history or without any, with the others.

    That the others lose as well, since times change, is no sign of it.

    Args:
        model: After training.
        parts: `train` and `validation`.
        encoder: Whose bins say what is thin.
        calibration: Makes probabilities of logits, which those of `sum` are not.
        device: Where to score.

    Returns:
        None where no input tells a group's history, or a part has no thin group or nothing else.
    """
    if HISTORY not in encoder.spec.numbers:
        return None
    column, bound = encoder.spec.numbers.index(HISTORY), encoder.edges[HISTORY][1]
    losses: dict[tuple[str, bool], float] = {}
    support = 0
    for part in ("train", "validation"):
        rows = _spread(parts[part], max(len(parts["validation"]), LEAST_ROWS))
        loss, history = _losses(model, rows, calibration, device), rows.numeric[:, column]
        thin = np.isnan(history) | (history <= bound)
        if thin.all() or not thin.any():
            return None
        losses |= {(part, True): loss[thin].mean(), (part, False): loss[~thin].mean()}
        support = int(thin.sum())
    lost = {kind: losses["validation", kind] - losses["train", kind] for kind in (True, False)}
    return Memorized(float(lost[True] - lost[False]), support)


def _spread(rows: EncodedRows, wanted: int) -> EncodedRows:
    """Every n-th row, so that all times are there."""
    step = max(len(rows) // wanted, 1)
    return rows.part(slice(None, None, step))


def _losses(
    model: nn.Module, rows: EncodedRows, calibration: Calibration, device: torch.device
) -> np.ndarray:
    found = predict(model, rows, device)
    logit = torch.from_numpy(calibration(found["logit"].double().numpy()))
    y = found["y"].double()
    return F.binary_cross_entropy_with_logits(logit, y, reduction="none").numpy()
