"""AUC and logloss under a bootstrap over users, all draws at once, so that runs can be paired."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np


def draw_users(users: int, draws: int, seed: int) -> np.ndarray:
    """How often each user is drawn: int16[draws, users]; the same for all runs on the same rows."""
    rng = np.random.default_rng(seed)
    chance = np.full(users, 1 / users)
    return np.stack([rng.multinomial(users, chance) for _ in range(draws)]).astype(np.int16)


def auc_draws(y: np.ndarray, score: np.ndarray, user: np.ndarray, times: np.ndarray) -> np.ndarray:
    """AUC in each draw, a row counting as often as its user was drawn.

    A row is positive to the degree y and negative to the degree 1 − y, so that y may be a chance:
    then this is the AUC that outcomes drawn by that chance tend to (ours). Scores are sorted
    once; rows of one score count as one.

    Args:
        y: float64[n] in [0, 1].
        score: float64[n].
        user: int64[n], below `users`.
        times: int16[draws, users].

    Returns:
        float64[draws]; NaN where a draw has one class.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    tied = len(starts) < len(order)
    degree, who, found = y[order], user[order], np.empty(len(times))
    for draw, counts in enumerate(times):  # a vector at a time stays within the cache
        weight = counts.astype(np.float64)[who]
        positive = weight * degree
        negative = weight - positive
        if tied:
            positive, negative = (np.add.reduceat(v, starts) for v in (positive, negative))
        beaten = negative @ (positive.cumsum() - positive / 2)
        whole = positive.sum() * negative.sum()
        found[draw] = 1 - beaten / whole if whole else np.nan
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
