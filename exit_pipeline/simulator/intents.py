"""Intents: what users are after in a source, for a day or a few, and the events that show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exit_pipeline.simulator.world import CATEGORIES, World
from exit_pipeline.times import DAY_US

STARTS_A_DAY = 0.16
MEAN_DAYS = 2.2
NEVER = np.iinfo(np.int64).max


@dataclass
class SourceEvents:
    """Source events of one day: aligned arrays, `kind` being 0 impression, 1 click, 2 order."""

    user: np.ndarray
    item: np.ndarray
    us: np.ndarray
    source: np.ndarray
    kind: np.ndarray

    def where(self, mask: np.ndarray) -> SourceEvents:
        """Returns some of the events."""
        return SourceEvents(**{name: values[mask] for name, values in vars(self).items()})


class Intents:
    """The intents alive, by user, source and category; times in µs since the first day.

    `shown_at` is when the intent's first event showed it: interest that was never shown cannot
    carry over in a way that a log could tell.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        shape = (world.config.users, world.config.sources, len(CATEGORIES))
        self.ends = np.zeros(shape, np.int64)
        self.shown_at = np.full(shape, NEVER, np.int64)

    def next_day(self, day: int) -> SourceEvents:
        """Starts and ends intents, and returns the events that show those alive on `day`."""
        rng = self.world.config.rng(3, day)
        n, k, _ = self.ends.shape
        over = self.ends <= day * DAY_US
        self.shown_at[over] = NEVER
        users, sources = np.nonzero(rng.random((n, k)) < STARTS_A_DAY)
        categories = self._wanted(rng, users)
        lasts = np.clip(rng.exponential(MEAN_DAYS, len(users)), 1.0, 4.0)
        self.ends[users, sources, categories] = ((day + lasts) * DAY_US).astype(np.int64)
        alive = np.argwhere(self.ends > day * DAY_US)
        events = self._show(rng, day, alive)
        np.minimum.at(
            self.shown_at,
            (events.user, events.source, self.world.category[events.item]),
            np.where(events.kind > 0, day * DAY_US + events.us, NEVER),
        )
        return events

    def _wanted(self, rng: np.random.Generator, users: np.ndarray) -> np.ndarray:
        """Categories of new intents; world B confounds them with the user's taste."""
        c = len(CATEGORIES)
        taste = self.world.taste[users]
        weight = 1.2 if self.world.config.world == "B" else 0.3
        gumbel = rng.gumbel(size=(len(users), c))
        return np.argmax(weight * taste + gumbel, axis=1)

    def _show(self, rng: np.random.Generator, day: int, alive: np.ndarray) -> SourceEvents:
        """Two looks a day at an alive intent on average; each shows items, clicks, maybe orders."""
        looks = np.repeat(np.arange(len(alive)), rng.poisson(2.0, len(alive)))
        user, source, category = alive[looks].T
        per_category = self.world.config.items // len(CATEGORIES)
        item = category + len(CATEGORIES) * rng.integers(max(per_category, 1), size=len(looks))
        item = self.world.born(np.minimum(item, self.world.config.items - 1), day)
        us = rng.integers(0, DAY_US - 600_000_000, size=len(looks))
        # An intent ends in the middle of its last day: who is no longer after it does not look.
        still = day * DAY_US + us < self.ends[user, source, category]
        user, source, item, us = user[still], source[still], item[still], us[still]
        clicked = rng.random(len(us)) < 0.6
        ordered = clicked & (rng.random(len(us)) < 0.08)
        parts = [
            (np.ones(len(us), bool), 0, 0),
            (clicked, 1, 20_000_000),
            (ordered, 2, 240_000_000),
        ]
        return SourceEvents(
            user=np.concatenate([user[m] for m, _, _ in parts]),
            item=np.concatenate([item[m] for m, _, _ in parts]),
            us=np.concatenate([us[m] + delay for m, _, delay in parts]),
            source=np.concatenate([source[m] for m, _, _ in parts]),
            kind=np.concatenate([np.full(m.sum(), kind) for m, kind, _ in parts]),
        )

    def seen(self, user: np.ndarray, category: np.ndarray, at_us: np.ndarray) -> np.ndarray:
        """Says for n exposures whether each source's intent in the category is alive and shown.

        Args:
            user: int[n].
            category: int[n].
            at_us: int64[n], µs since the first day.

        Returns:
            bool[n, K].
        """
        shown = self.shown_at[user, :, category] < at_us[:, None]
        return shown & (self.ends[user, :, category] > at_us[:, None])
