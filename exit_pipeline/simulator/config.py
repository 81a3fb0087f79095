"""What a simulation is made from; the same configuration gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Self

import numpy as np

from exit_pipeline.errors import UsageError

_SIZES: dict[str, dict[str, Any]] = {
    "demo": {"days": 28, "users": 800, "items": 480},
    "standard": {"days": 28, "users": 6000, "items": 2400},
    "quick": {"days": 11, "users": 260, "items": 120},
}


@dataclass(frozen=True)
class SimulationConfig:
    """Sizes, seed and planted faults of a simulated log.

    Args:
        seed: Everything random follows from it.
        world: `A` has the additive form that `carry` assumes; `B` has another.
        days: Days of the log, from `start` on.
        users: Number of users.
        items: Number of items, in 24 categories.
        sources: K, the number of source domains.
        requests: Mean feed requests of a user and day; each shows six items.
        start: The first day.
        late_share: Share of events that land one to five days late.
        duplicate_share: Share of events that land twice.
        broken_share: Rows that break the contract, as a share of events.
        never: Categories, of 24, whose interest never transfers; at most 12.
        shared_users: Share of users whose source events carry the id that the feed knows them by.
        shared_items: Share of items that the sources and the feed both have.
        shuffled: Whether source events are logged under other users' ids, which makes them useless.
        last_source_from: The day from which the last source is logged.
    """

    seed: int = 7
    world: Literal["A", "B"] = "A"
    days: int = 28
    users: int = 800
    items: int = 480
    sources: int = 2
    requests: float = 1.0
    start: date = date(2026, 1, 5)
    late_share: float = 0.002
    duplicate_share: float = 0.001
    broken_share: float = 0.0005
    never: int = 5
    shared_users: float = 1.0
    shared_items: float = 1.0
    shuffled: bool = False
    last_source_from: int = 0

    def __post_init__(self) -> None:
        if self.world not in ("A", "B"):
            raise UsageError(f"there is no world {self.world!r}", mend="name A or B")
        if min(self.days, self.users, self.items, self.sources) < 1:
            raise UsageError("days, users, items and sources must be at least 1")
        if not 0 <= self.never <= 12:
            raise UsageError("0 to 12 of the 24 categories can be ones that never transfer")

    @classmethod
    def sized(cls, size: str, **overrides: Any) -> Self:
        """Returns the configuration of a size.

        `demo` takes seconds, `standard` has 1 M exposures, `quick` is for tests of studies.
        """
        if size not in _SIZES:
            raise UsageError(f"there is no size {size!r}", mend=f"name one of {', '.join(_SIZES)}")
        return cls(**{**_SIZES[size], **overrides})

    @property
    def source_names(self) -> list[str]:
        """Names of the source domains: `search`, `channel`, `source_3` and so on."""
        return [
            ("search", "channel")[k] if k < 2 else f"source_{k + 1}" for k in range(self.sources)
        ]

    def rng(self, *stream: int) -> np.random.Generator:
        """Returns the generator of one stream, so that no day depends on how many follow."""
        return np.random.default_rng([self.seed, ord(self.world), *stream])
