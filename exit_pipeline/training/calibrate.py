"""Calibration after training, monotone in the logit, so that rankings stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exit_pipeline.errors import TrainingError

# More than a dozen damped Newton steps on two parameters mean that something is wrong.
STEPS = 100
# A slope per standard deviation of the logit below this says nothing about the order of rows.
FLAT = 1e-6


@dataclass(frozen=True)
class Calibration:
    """A map from the model's logit to a calibrated one.

    Args:
        kind: `platt`: a · z + b. `isotonic`: a step function, linear between its knots.
        slope: a, above 0; 1 where isotonic.
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

    Raises:
        TrainingError: Platt's likelihood has no maximum that can be found.
    """
    return _platt(logit, y) if kind == "platt" else _isotonic(logit, y)


def _platt(z: np.ndarray, y: np.ndarray) -> Calibration:
    """Damped Newton on the likelihood of Platt's smoothed targets, from slope 0 and the base rate.

    The smoothed targets keep the maximum finite where the classes are separable.
    """
    positives = y.sum()
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    middle, spread = z.mean(), z.std() or 1.0
    theta = _newton((z - middle) / spread, target)
    # A map that falls or stays level would turn rankings over or end them: only the mean is moved.
    if theta[0] <= FLAT:
        return Calibration("platt", 1.0, _bias(z, target.mean()))
    slope = float(theta[0] / spread)
    return Calibration("platt", slope, float(theta[1] - slope * middle))


def _newton(z: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(slope, bias) of least mean logloss; a step is halved while it would raise it."""
    design = np.stack([z, np.ones_like(z)], axis=1)
    theta = np.array([0.0, _log_odds(target.mean())])
    for _ in range(STEPS):
        p = _sigmoid(design @ theta)
        gradient = design.T @ (p - target) / len(z)
        hessian = (design * (p * (1 - p))[:, None]).T @ design / len(z) + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        if gradient @ step < 1e-14:
            return theta - step
        loss = _logloss(design @ theta, target)
        while _logloss(design @ (theta - step), target) > loss:
            step = step / 2
        theta = theta - step
    raise TrainingError(
        f"Platt's calibration did not converge in {STEPS} steps",
        where=f"{len(z)} calibration rows, {target.mean():.4g} of them positive",
        mend="widen split.calibration_days, or set training.calibration to isotonic",
    )


def _bias(z: np.ndarray, mean: float) -> float:
    """The b for which the mean of σ(z + b) is `mean`, by bisection."""
    low, high = _log_odds(mean) - z.max(), _log_odds(mean) - z.min()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid(z + middle).mean() < mean else (low, middle)
    return float((low + high) / 2)


def _logloss(logit: np.ndarray, target: np.ndarray) -> float:
    return float((np.logaddexp(0, logit) - target * logit).mean())


def _log_odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))


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
    rate = np.repeat(_inside(blocks), [int(k) for *_, k in blocks])
    level = rate[1:] == rate[:-1]
    ends = np.r_[True, ~(level[1:] & level[:-1]), True][: len(knots)]
    knots, rate = knots[ends], rate[ends]
    return Calibration("isotonic", 1.0, 0.0, knots.tolist(), np.log(rate / (1 - rate)).tolist())


def _inside(blocks: list[list[float]]) -> np.ndarray:
    """The rates of blocks of [sum, weight, knots], rising, with neither 0 nor 1 at the ends.

    An end has what half an outcome more, or less, would say of it, and no more than its neighbour:
    a short block at one end says nothing of the others.
    """
    total, weight = np.array(blocks)[:, :2].T
    rate, half = total / weight, (total + 0.5) / (weight + 1)
    if rate[0] == 0:
        rate[0] = min([half[0], *rate[1:2]])
    if rate[-1] == 1:
        rate[-1] = max([half[-1], *rate[-2:-1]])
    return rate
