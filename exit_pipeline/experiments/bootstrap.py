"""AUC and logloss under a bootstrap over users, all draws at once, so that runs can be paired."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

CHUNK = 64


def draw_users(users: int, draws: int, seed: int) -> np.ndarray:
    """How often each user is drawn: int16[draws, users]; the same for all runs on the same rows."""
    rng = np.random.default_rng(seed)
    chance = np.full(users, 1 / users)
    return np.stack([rng.multinomial(users, chance) for _ in range(draws)]).astype(np.int16)


def auc_draws(y: np.ndarray, score: np.ndarray, user: np.ndarray, times: np.ndarray) -> np.ndarray:
    """AUC in each draw, a row counting as often as its user was drawn.

    A negative adds the weight of positives above it, and half of those level with it: positives are
    summed once in score order, and negatives between the same two positives are summed together,
    for a block of draws at a time.

    Args:
        y: float64[n] of 0 and 1.
        score: float64[n].
        user: int64[n], below `users`.
        times: int16[draws, users].

    Returns:
        float64[draws]; NaN where a draw has one class.
    """
    positive = y > 0
    order = np.argsort(score[positive], kind="stable")
    above, own = score[positive][order], user[positive][order]
    negative = np.sort(score[~positive], kind="stable")
    theirs = user[~positive][np.argsort(score[~positive], kind="stable")]
    low, high = (np.searchsorted(above, negative, side) for side in ("left", "right"))
    found = np.empty(len(times))
    for start in range(0, len(times), CHUNK):
        weight = np.ascontiguousarray(times[start : start + CHUNK].T, dtype=np.float64)
        below = np.concatenate([np.zeros((1, weight.shape[1])), weight[own].cumsum(0)])
        mass = weight[theirs]
        total, others = below[-1], mass.sum(0)
        beaten = _summed(mass, low, below) + _summed(mass, high, below)
        with np.errstate(invalid="ignore"):
            found[start : start + CHUNK] = 1 - beaten / 2 / (total * others)
    return found


def mean_draws(values: np.ndarray, user: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The mean of values per row in each draw: float64[draws]; NaN where a draw has no row."""
    users = times.shape[1]
    sums = np.bincount(user, weights=values, minlength=users)
    rows = np.bincount(user, minlength=users)
    with np.errstate(invalid="ignore"):
        return (times @ sums) / (times @ rows)


@dataclass(frozen=True)
class Interval:
    """A difference with its 95 % interval and the two-sided p-value of a normal with its spread."""

    mean: float
    low: float
    high: float
    p: float

    @classmethod
    def of(cls, mean: float, draws: np.ndarray) -> Interval:
        """Reads the interval off paired draws; those that could not be taken are left out."""
        draws = draws[np.isfinite(draws)]
        if not len(draws):
            return cls(mean, float("nan"), float("nan"), 1.0)
        low, high = np.quantile(draws, [0.025, 0.975])
        spread = float(draws.std())
        p = erfc(abs(mean) / spread / sqrt(2)) if spread else float(mean == 0)
        return cls(float(mean), float(low), float(high), p)


def _summed(mass: np.ndarray, place: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Σ over negatives of weight × weight of positives below: `place` rises, so runs are summed."""
    starts = np.flatnonzero(np.r_[True, place[1:] != place[:-1]]) if len(place) else place
    if not len(starts):
        return np.zeros(mass.shape[1])
    return (np.add.reduceat(mass, starts, axis=0) * below[place[starts]]).sum(0)
