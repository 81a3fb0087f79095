"""Paired comparison of two models on the same rows, by a bootstrap over users."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95 % interval.

    Args:
        mean: Ours less theirs, per row.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
        p_worse: Chance of a mean within the margin asked about, by a normal tail with the draws'
            mean and standard deviation: small means «surely worse than the margin». A share of
            draws could not fall below one in their number, and a correction over dozens of slices
            asks for less than that.
    """

    mean: float
    low: float
    high: float
    p_worse: float


def paired(
    ours: np.ndarray, theirs: np.ndarray, user: np.ndarray, *, margin: float, draws: int, seed: int
) -> Difference:
    """Bootstraps the difference of per-row losses over users.

    Users are drawn with replacement; each draw keeps all rows of a user together, since they are
    not independent. Sums per user make a draw one product of a row of counts and a vector.

    Args:
        ours: float64[n], losses per row.
        theirs: float64[n], on the same rows.
        user: int[n].
        margin: How much worse is still not worse.
        draws: Number of draws.
        seed: Of the draws.
    """
    _, index = np.unique(user, return_inverse=True)
    difference = np.bincount(index, weights=ours - theirs)
    rows = np.bincount(index).astype(float)
    rng, users = np.random.default_rng(seed), len(rows)
    means = np.empty(draws)
    for draw in range(draws):
        times = np.bincount(rng.integers(users, size=users), minlength=users)
        means[draw] = times @ difference / (times @ rows)
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(difference.sum() / rows.sum())
    return Difference(mean, float(low), float(high), _tail(means, margin))


def _tail(means: np.ndarray, margin: float) -> float:
    """P(Z ≤ margin) of a normal Z with the mean and standard deviation of the draws."""
    over, spread = float(means.mean() - margin), float(means.std())
    if spread == 0:
        return float(over <= 0)
    return 0.5 * math.erfc(over / spread / math.sqrt(2))


def holm(p_values: dict[str, float], alpha: float) -> set[str]:
    """Names of the hypotheses that Holm's step-down correction rejects at level alpha."""
    rejected = set()
    for rank, name in enumerate(sorted(p_values, key=lambda n: (p_values[n], n))):
        if p_values[name] > alpha / (len(p_values) - rank):
            break
        rejected.add(name)
    return rejected
