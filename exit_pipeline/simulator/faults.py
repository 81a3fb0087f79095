"""Planted faults: late, repeated and broken rows, so that they are exercised by default."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa

from exit_pipeline.simulator.rows import EVENTS, INSTANT, day_start_us
from exit_pipeline.simulator.world import World
from exit_pipeline.times import DAY_US

RULES = (
    "user_id_missing", "unknown_domain", "unknown_event_type", "value_invalid", "value_invalid_nan",
    "ts_in_future", "unknown_place", "too_late",
)  # fmt: skip


class Landing:
    """Decides which day brings each row.

    Args:
        world: Says how many rows are late, repeated and broken.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.waiting: dict[int, list[pa.Table]] = defaultdict(list)
        self.counts: dict[str, int] = defaultdict(int)

    def land(self, day: int, events: pa.Table) -> pa.Table:
        """Takes what happened on `day`; returns what lands on it, sorted by time."""
        config, rng = self.world.config, self.world.config.rng(5, day)
        today = self._spill_over(day, events)
        fate = rng.random(today.num_rows)
        late = fate < config.late_share
        delay = np.where(rng.random(late.sum()) < 0.02, 9, rng.integers(1, 6, late.sum()))
        for days in np.unique(delay):
            lost = today.filter(pa.array(late)).filter(pa.array(delay == days))
            self.waiting[day + int(days)].append(lost)
        repeated = today.filter(
            pa.array(~late & (fate < config.late_share + config.duplicate_share))
        )
        half = repeated.num_rows // 2
        self.waiting[day + 1].append(repeated.slice(half))
        fresh = today.filter(pa.array(~late))
        landed = pa.concat_tables(
            [
                fresh,
                repeated.slice(0, half),
                self._broken(day, fresh, rng),
                *self.waiting.pop(day, []),
            ]
        )
        self.counts["late"] += int((delay < 9).sum())
        self.counts["too_late"] += int((delay == 9).sum())
        self.counts["repeats"] += repeated.num_rows
        return landed.sort_by([("ts", "ascending"), ("event_id", "ascending")])

    def _spill_over(self, day: int, events: pa.Table) -> pa.Table:
        """Keeps what happens after midnight for the day it belongs to."""
        us = events["ts"].cast(pa.int64()).to_numpy() - day_start_us(self.world, day)
        tomorrow = us >= DAY_US
        today = [events.filter(pa.array(~tomorrow)), *self.waiting.pop(-day - 1, [])]
        # Negative keys are days of happening, kept apart from days of landing.
        self.waiting[-day - 2].append(events.filter(pa.array(tomorrow)))
        return pa.concat_tables(today)

    def _broken(self, day: int, rows: pa.Table, rng: np.random.Generator) -> pa.Table:
        """Copies of some rows under new ids, each broken in one way."""
        n = rng.binomial(rows.num_rows, self.world.config.broken_share) if rows.num_rows else 0
        picked = rows.take(pa.array(rng.integers(rows.num_rows, size=n) if n else [], pa.int64()))
        broken = []
        for number, row in enumerate(picked.to_pylist()):  # a handful a day
            rule = RULES[number % len(RULES)]
            row["event_id"] = f"b{day:04d}-{number:07d}"
            row |= self._fault(rule, day)
            self.counts[rule] += 1
            broken.append(row)
        return pa.Table.from_pylist(broken, EVENTS)

    def _fault(self, rule: str, day: int) -> dict:
        after = pa.scalar(day_start_us(self.world, day) + 2 * DAY_US).cast(INSTANT).as_py()
        faults: dict[str, dict] = {
            "user_id_missing": {"user_id": None},
            "unknown_domain": {"domain": "billboard"},
            "unknown_event_type": {"event_type": "hover"},
            "value_invalid": {"value": -1.0},
            "value_invalid_nan": {"value": float("nan")},
            "ts_in_future": {"ts": after},
            "unknown_place": {"place": "moon"},
            "too_late": {"ts": pa.scalar(0).cast(INSTANT).as_py()},
        }
        return faults[rule]
