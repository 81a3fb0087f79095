"""One function turns a user's interest state into features, in training and in serving alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.times import HOUR_US

INTEREST_FEATURES = ("decayed", "count", "recency_hours", "activity")


def interest_features(
    state: pa.Table | pa.RecordBatch,
    domain: str,
    now_us: np.ndarray,
    units: pa.Array,
    *,
    half_life_us: int,
    window_us: int,
    hold_us: int,
) -> dict[str, np.ndarray]:
    """Turns interest states, request times and candidates' units into features (ours).

    Args:
        state: Rows of `user_interest`, aligned with `units`: `{domain}_state_us`,
            `{domain}_units`, `{domain}_last_us`, `{domain}_counts`, `{domain}_weights`; nulls where
            nothing is known. Nothing of another domain is read.
        domain: The source, or the target for the user's own responses.
        now_us: int64[n], the request's time in µs since the epoch.
        units: string[n], the candidate's interest unit.
        half_life_us: Half-life of the decayed count, in µs.
        window_us: Age beyond which a count is stale, in µs.
        hold_us: Age of the domain's newest event beyond which its state says nothing, in µs: a row
            that an event elsewhere keeps alive must not tell more than none.

    Returns:
        Four float64[n] arrays by name: `decayed` (count of interest in this unit, decayed to now),
        `count` (interest in this unit, 0 once the last is older than the window),
        `recency_hours` (since the last; NaN where there is none) and `activity` (decayed count
        over all units).
    """
    n = len(now_us)
    parts = ("units", "last_us", "counts", "weights")
    since = _column(state, f"{domain}_state_us").cast(pa.int64())  # all null for unknown users
    holds = pc.greater_equal(since, pa.array(now_us - hold_us))
    lists = {part: pc.if_else(holds, _column(state, f"{domain}_{part}"), None) for part in parts}
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists["units"]), 0), dtype=np.int64)
    row = np.repeat(np.arange(n), lengths)
    flat = {part: column.flatten() for part, column in lists.items()}
    same = np.asarray(pc.fill_null(pc.equal(flat["units"], units.take(pa.array(row))), False))
    last = np.asarray(flat["last_us"], dtype=np.int64)
    decayed = np.asarray(flat["weights"], dtype=np.float64)
    counts = np.asarray(flat["counts"], dtype=np.float64)
    state_us = np.asarray(pc.fill_null(since, 0), dtype=np.int64)
    decay = np.exp2(-(now_us - state_us) / half_life_us)

    out = {name: np.zeros(n) for name in INTEREST_FEATURES}
    out["recency_hours"][:] = np.nan
    at = row[same]
    age = now_us[at] - last[same]
    for name, values in _of_units(age, counts[same], decayed[same], decay[at], window_us).items():
        out[name][at] = values
    if n:
        out["activity"][:] = np.bincount(row, weights=decayed, minlength=n) * decay
    return out


def user_interest(
    state: Mapping[str, Any], domain: str, now_us: int, *, half_life_us: int, window_us: int,
    hold_us: int,
) -> tuple[dict[str | None, int], np.ndarray, float]:  # fmt: skip
    """Turns one user's interest state into features of every unit: the same as those of rows.

    Args:
        state: Columns of `user_interest` by name; None or absent where nothing is known.
        domain: As above.
        now_us: The request's time, in µs since the epoch.
        half_life_us: As above.
        window_us: As above.
        hold_us: As above.

    Returns:
        Of each unit in the state its row, float64[u + 1, 3] with `decayed`, `count` and
        `recency_hours` (the last row is of a unit without interest), and `activity`.
    """
    since = state.get(f"{domain}_state_us")
    if since is None or since < now_us - hold_us:
        return {}, np.array([[0.0, 0.0, np.nan]]), 0.0
    units = state.get(f"{domain}_units") or []
    parts = ("last_us", "counts", "weights")
    last, counts, weights = np.array([state.get(f"{domain}_{p}") or [] for p in parts], float)
    decay = np.exp2(-(now_us - since) / half_life_us)
    found = np.zeros((len(units) + 1, 3))
    found[-1, 2] = np.nan
    features = _of_units(now_us - last, counts, weights, decay, window_us)
    for column, values in enumerate(features.values()):
        found[:-1, column] = values
    rows: dict[str | None, int] = {unit: row for row, unit in enumerate(units)}
    return rows, found, float(sum(weights.tolist()) * decay)


def _of_units(
    age_us: np.ndarray, counts: np.ndarray, weights: np.ndarray, decay: Any, window_us: int
) -> dict[str, np.ndarray]:
    return {
        "decayed": weights * decay,
        "count": np.where(age_us <= window_us, counts, 0.0),
        "recency_hours": age_us / HOUR_US,
    }


def _column(state: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    column = state.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
