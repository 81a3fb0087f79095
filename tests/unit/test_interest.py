"""The interest state and the features made of it equal a slow look through the user's events."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exit_pipeline.features.interest import interest_features
from exit_pipeline.times import DAY_US, HOUR_US

HALF_LIFE, WINDOW, HOLD = 24 * HOUR_US, 14 * DAY_US, 20 * DAY_US
UNITS = ["a", "b", "c", "d"]
EVENTS = st.lists(st.tuples(st.sampled_from(UNITS[:3]), st.integers(0, 20 * DAY_US)), max_size=12)


def state_of(events: list[tuple[str, int]]) -> dict:
    """The row of `user_interest` right after the newest event; nulls for a user without one."""
    if not events:
        return dict.fromkeys(("s_state_us", "s_units", "s_last_us", "s_counts", "s_weights"))
    now = max(us for _, us in events)
    recent = [(unit, us) for unit, us in events if us > now - WINDOW]
    units = sorted({unit for unit, _ in recent})
    return {
        "s_state_us": now,
        "s_units": units,
        "s_last_us": [max(us for u, us in recent if u == unit) for unit in units],
        "s_counts": [sum(u == unit for u, _ in recent) for unit in units],
        "s_weights": [
            sum(2.0 ** ((us - now) / HALF_LIFE) for u, us in recent if u == unit) for unit in units
        ],
    }


def slow(events: list[tuple[str, int]], unit: str, now: int) -> dict[str, float]:
    """Looks at every event; what had fallen out of the window at the newest event is gone.

    So is everything once the newest event is older than a state holds.
    """
    newest = max((us for _, us in events), default=0)
    kept = [(u, us) for u, us in events if us > newest - WINDOW and now - newest <= HOLD]
    mine = [us for u, us in kept if u == unit]
    last = max(mine, default=None)
    return {
        "decayed": sum(2.0 ** ((us - now) / HALF_LIFE) for us in mine),
        "count": float(len(mine)) if last is not None and now - last <= WINDOW else 0.0,
        "recency_hours": math.nan if last is None else (now - last) / HOUR_US,
        "activity": sum(2.0 ** ((us - now) / HALF_LIFE) for _, us in kept),
    }


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.sampled_from(UNITS), st.integers(0, 30 * DAY_US)), max_size=6))
def test_features_equal_a_slow_look_through_the_events(rows):
    states = [state_of(events) for events, _, _ in rows]
    now = [max((us for _, us in events), default=0) + later for events, _, later in rows]
    schema = pa.schema([
        ("s_state_us", pa.int64()), ("s_units", pa.list_(pa.string())),
        ("s_last_us", pa.list_(pa.int64())), ("s_counts", pa.list_(pa.int64())),
        ("s_weights", pa.list_(pa.float64())),
    ])  # fmt: skip
    found = interest_features(
        pa.Table.from_pylist(states, schema), "s", np.array(now, np.int64),
        pa.array([unit for _, unit, _ in rows], pa.string()),
        half_life_us=HALF_LIFE, window_us=WINDOW, hold_us=HOLD,
    )  # fmt: skip
    for row, (events, unit, _) in enumerate(rows):
        for name, value in slow(events, unit, now[row]).items():
            assert found[name][row] == pytest.approx(value, rel=1e-9, nan_ok=True), name


def test_the_lag_and_the_window_meet_at_the_microsecond():
    """An event exactly a window old still counts; one microsecond older does not."""
    state = pa.Table.from_pylist([state_of([("a", 0)])] * 2)
    now = np.array([WINDOW, WINDOW + 1])
    found = interest_features(
        state,
        "s",
        now,
        pa.array(["a", "a"]),
        half_life_us=HALF_LIFE,
        window_us=WINDOW,
        hold_us=HOLD,
    )
    assert found["count"].tolist() == [1.0, 0.0]
    assert timedelta(microseconds=WINDOW) == timedelta(days=14)
