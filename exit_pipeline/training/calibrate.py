"""Calibration after training, monotone in the logit, so that rankings stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """A map from the model's logit to a calibrated one.

    Args:
        kind: `platt`: a · z + b. `isotonic`: a step function, linear between its knots.
        slope: a, above 0.
        bias: b.
        knots: Logits, rising (isotonic).
        values: Calibrated logits at the knots, not falling (isotonic).
    """

    kind: str
    slope: float = 1.0
    bias: float = 0.0
    knots: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def __call__(self, logit: np.ndarray) -> np.ndarray:
        """float64[n] logits → float64[n] calibrated logits."""
        if self.kind == "platt":
            return self.slope * logit + self.bias
        return np.interp(logit, self.knots, self.values)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return dict(vars(self))


def calibrate(logit: np.ndarray, y: np.ndarray, kind: str) -> Calibration:
    """Fits a calibration on the calibration part.

    Args:
        logit: float64[n].
        y: float64[n] of 0 and 1.
        kind: `platt` (Platt 1999) or `isotonic` (pool adjacent violators).
    """
    return _platt(logit, y) if kind == "platt" else _isotonic(logit, y)


def _platt(z: np.ndarray, y: np.ndarray) -> Calibration:
    """Newton's method on the logistic likelihood of (slope, bias); two parameters, convex."""
    theta = np.array([1.0, 0.0])
    design = np.stack([z, np.ones_like(z)], axis=1)
    for _ in range(50):
        p = 1 / (1 + np.exp(-(design @ theta)))
        gradient = design.T @ (p - y)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta = theta - step
        if np.abs(step).max() < 1e-10:
            break
    # A falling map would turn rankings over: that is no calibration.
    if theta[0] <= 0:
        return Calibration("platt", 1.0, float(np.log(y.mean() / (1 - y.mean())) - z.mean()))
    return Calibration("platt", float(theta[0]), float(theta[1]))


def _isotonic(z: np.ndarray, y: np.ndarray) -> Calibration:
    order = np.argsort(z, kind="stable")
    knots, start = np.unique(z[order], return_index=True)  # ties share one value
    weight = np.diff([*start, len(z)]).astype(float)
    total = np.add.reduceat(y[order], start)
    blocks: list[list[float]] = []  # [sum, weight, knots]
    for one, w in zip(total, weight, strict=True):
        blocks.append([one, w, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    rate = np.repeat([(s + 0.5) / (w + 1) for s, w, _ in blocks], [int(k) for *_, k in blocks])
    rate = np.maximum.accumulate(rate)
    return Calibration("isotonic", 1.0, 0.0, knots.tolist(), np.log(rate / (1 - rate)).tolist())
