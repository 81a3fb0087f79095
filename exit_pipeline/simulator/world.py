"""The planted truth: tastes, items, and how far each source's interest carries over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exit_pipeline.simulator.config import SimulationConfig

CATEGORIES = (
    *("medicine", "baby care", "funeral services", "office supplies", "tax advice"),  # never
    *("coffee", "sneakers", "novels", "board games", "headphones", "skin care", "snacks", "plants"),
    *("takeaway", "wine", "fitness", "garden tools", "travel", "toys", "cookware"),
    *("lighting", "bicycles", "music", "pet food"),
)
# After those that never transfer come those that always do, up to here.
ALWAYS = 13
HOUR_BANDS, DAY_KINDS, PLACES = (
    ("night", "morning", "day", "evening"),
    ("weekday", "weekend"),
    ("home", "work", "out"),
)
BAND_STARTS = np.array([0, 6, 11, 17])
DEARER_FROM = 7  # the day from which one item in fifty costs more
SEGMENTS, AGE_BANDS = (
    ("explorer", "regular", "bargain", "family"),
    ("18-29", "30-44", "45-64", "65+"),
)
# The base rate of a click, as a logit, by world: both give about 7.6 clicks per 100 exposures.
BASE = {"A": -3.45, "B": -2.95}


@dataclass(frozen=True)
class Exposures:
    """Feed exposures of one day, as aligned arrays of length n."""

    user: np.ndarray
    item: np.ndarray
    us: np.ndarray  # int64, µs since the start of the day
    band: np.ndarray
    kind: np.ndarray
    place: np.ndarray
    position: np.ndarray
    request: np.ndarray
    intent: np.ndarray  # bool[n, K]: an intent of the item's category is alive and was shown
    seen: np.ndarray  # float32[n]: how often the category was lately shown to the user


class World:
    """Everything that is true of users, items and transfer.

    Args:
        config: The simulation's configuration.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        rng, n_users, n_items = config.rng(1), config.users, config.items
        c = len(CATEGORIES)
        self.segment = rng.integers(len(SEGMENTS), size=n_users)
        self.age = rng.integers(len(AGE_BANDS), size=n_users)
        by_segment = rng.normal(0, 0.35, (len(SEGMENTS), c))
        by_age = rng.normal(0, 0.35, (len(AGE_BANDS), c))
        own = rng.normal(0, 0.8, (n_users, c))
        self.taste = own + by_segment[self.segment] + by_age[self.age]
        self.category = np.arange(n_items) % c
        self.quality = rng.normal(0, 0.5, n_items)
        self.brand = rng.integers(20, size=n_items)
        self.price = np.round(np.exp(rng.normal(2.8, 0.7, n_items)) + 0.99, 2)
        self.first_day = np.where(rng.random(n_items) < 0.9, -30, rng.integers(1, 15, n_items))
        self.first_day[:c] = -30  # one of each category is there all along
        self.dearer = (np.arange(n_items) % 50 == 7) & (self.first_day < DEARER_FROM)
        self.gain = rng.uniform(1.7, 2.1, config.sources)
        self.transfer = self._transferability(config.rng(2))
        self.source_user, self.source_item = self._source_ids(config.rng(7))

    def _transferability(self, rng: np.random.Generator) -> np.ndarray:
        """a[k, category, hour band, day kind, place, segment] in [0, 1]."""
        k, c = self.config.sources, len(CATEGORIES)
        shape = (k, c, len(HOUR_BANDS), len(DAY_KINDS), len(PLACES), len(SEGMENTS))
        a = np.zeros(shape)
        a[:, self.config.never : ALWAYS] = 0.95
        for source in range(k):
            for category in range(ALWAYS, c):
                bands = rng.random(len(HOUR_BANDS)) < 0.5
                bands[rng.integers(len(HOUR_BANDS))] = True
                places = rng.random(len(PLACES)) < 0.6
                places[rng.integers(len(PLACES))] = True
                fits = bands[:, None, None, None] & places[None, None, :, None]
                a[source, category] = np.where(fits, 0.95, 0.03)
        for category in rng.choice(np.arange(ALWAYS, c), 3, replace=False):
            a[:, category, :, :, :, rng.integers(len(SEGMENTS))] *= 0.2
        return a

    def _source_ids(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The numbers that sources log users and items by; beyond the feed's where not shared."""
        config = self.config
        users, items = np.arange(config.users), np.arange(config.items)
        if config.shuffled:
            users = rng.permutation(users)
        users = np.where(rng.random(config.users) < config.shared_users, users, users + len(users))
        items = np.where(rng.random(config.items) < config.shared_items, items, items + len(items))
        return users, items

    def born(self, item: np.ndarray, day: int) -> np.ndarray:
        """Puts the oldest of its category in the place of each item that is not there yet."""
        return np.where(self.first_day[item] <= day, item, self.category[item])

    def price_on(self, item: np.ndarray, day: int) -> np.ndarray:
        """Returns what items cost on a day, float64[n]: some are dearer from the eighth day on."""
        dearer = self.dearer[item] & (day >= DEARER_FROM)
        return np.where(dearer, np.round(self.price[item] * 1.1, 2), self.price[item])

    def transferability(self, x: Exposures, day: int) -> np.ndarray:
        """Returns a[n, K] of exposures; in world B some categories change halfway."""
        category = self.category[x.item]
        a = self.transfer[:, category, x.band, x.kind, x.place, self.segment[x.user]].T
        if self.config.world == "B" and day >= self.config.days // 2:
            drifted = np.isin(category, (13, 14))
            a = np.where(drifted[:, None], 0.95 - a, a)
        return a

    def logits(self, x: Exposures, day: int) -> dict[str, np.ndarray]:
        """Returns the parts of each exposure's click logit.

        Args:
            x: n exposures.
            day: The day's number.

        Returns:
            `own` float64[n], `a` and `carried` float64[n, K], `repelled` float64[n] and their
            sum `logit` float64[n].
        """
        category, a = self.category[x.item], self.transferability(x, day)
        own = BASE[self.config.world] + self.taste[x.user, category] + self.quality[x.item]
        carried = self.gain * a * x.intent
        if self.config.world == "B":
            # Saturating and not additive: the stronger the own taste, the less there is to carry.
            room = 1.0 / (1.0 + np.exp(own + 2.0))
            carried = 2.6 * np.tanh(carried / 1.6) * room[:, None]
            carried /= np.maximum(1.0, x.intent.sum(1))[:, None] ** 0.5
            # Position bias, and satiation: what was shown often of late is clicked less.
            own = own - 0.12 * x.position - 0.3 * np.log1p(x.seen)
        never = (category < self.config.never) & x.intent.any(1)
        repelled = np.where(never, 0.9, 0.0)
        return {
            "own": own,
            "a": a,
            "carried": carried,
            "repelled": repelled,
            "logit": own + carried.sum(1) - repelled,
        }

    def negative_rate(self, parts: dict[str, np.ndarray], x: Exposures) -> np.ndarray:
        """Returns the chance of negative feedback: it rises with (1 − a) · intent."""
        return 0.004 + 0.022 * ((1 - parts["a"]) * x.intent).max(1)

    def order_rate(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the chance of an order given a click: it rises with carried interest."""
        return 0.10 + 0.10 * np.minimum(parts["carried"].sum(1) / 2.0, 1.0)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e^−z)."""
    return 1.0 / (1.0 + np.exp(-z))
