"""Metrics of scores against outcomes."""

from __future__ import annotations

import numpy as np

CLIP = 1e-7


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties half.

    Args:
        y: float64[n] of 0 and 1.
        score: float64[n].

    Returns:
        NaN where only one class is there.
    """
    positives, negatives = y.sum(), len(y) - y.sum()
    if positives == 0 or negatives == 0:
        return float("nan")
    total = _ranks(score)[y == 1].sum()
    return float((total - positives * (positives + 1) / 2) / (positives * negatives))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, ties sharing their mean rank.

    Args:
        a: float64[n].
        b: float64[n].

    Returns:
        NaN where either is constant.
    """
    ranks = [_ranks(values) for values in (a, b)]
    if min(r.std() for r in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def gauc(y: np.ndarray, score: np.ndarray, group: np.ndarray) -> float:
    """AUC per user, weighted by exposures; users of one class are skipped (Zhu et al. 2017, eq. 8).

    Args:
        y: float64[n] of 0 and 1.
        score: float64[n].
        group: int[n], the user of each row.
    """
    order = np.lexsort((score, group))
    y, score, group = y[order], score[order], group[order]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    sizes = np.diff(np.r_[starts, len(group)])
    new = np.r_[True, (score[1:] != score[:-1]) | (group[1:] != group[:-1])]
    block = np.cumsum(new) - 1
    counts = np.bincount(block)
    first = np.flatnonzero(new) - np.repeat(starts, sizes)[new]
    ranks = (first + (counts + 1) / 2)[block]
    positives = np.add.reduceat(y, starts)
    total = np.add.reduceat(ranks * y, starts)
    mixed = (positives > 0) & (positives < sizes)
    if not mixed.any():
        return float("nan")
    p, n = positives[mixed], (sizes - positives)[mixed]
    each = (total[mixed] - p * (p + 1) / 2) / (p * n)
    return float(np.average(each, weights=sizes[mixed]))


def logloss_rows(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """−log of the probability given to what happened, for each row: float64[n]."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def ece(y: np.ndarray, p: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over bins of equal mass: Σ share · |mean p − mean y|.

    Rows of one score count with the mean of their y, so that their order does not matter where a
    bin ends among them.
    """
    _, block, counts = np.unique(p, return_inverse=True, return_counts=True)
    y = (np.bincount(block, y) / counts)[block]
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    return float(sum(len(i) * abs(p[i].mean() - y[i].mean()) for i in parts) / len(y))


def summary(y: np.ndarray, p: np.ndarray, user: np.ndarray) -> dict[str, float | int | None]:
    """AUC, GAUC, logloss, ECE and predicted ÷ actual of n rows, with their support."""
    values = {
        "auc": auc(y, p),
        "gauc": gauc(y, p, user),
        "logloss": float(logloss_rows(y, p).mean()),
        "ece": ece(y, p),
        "predicted_to_actual": float(p.sum() / y.sum()) if y.sum() else float("nan"),
    }
    known = {name: round(v, 6) if np.isfinite(v) else None for name, v in values.items()}
    return {**known, "rows": len(y), "positives": int(y.sum())}
