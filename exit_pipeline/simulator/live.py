"""The feed while it runs: a day's requests and candidates, and what follows what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.errors import UsageError
from exit_pipeline.simulator.answer import _values
from exit_pipeline.simulator.config import SimulationConfig
from exit_pipeline.simulator.feed import SLATE, happen, offer, respond
from exit_pipeline.simulator.intents import Intents
from exit_pipeline.simulator.rows import (
    EVENTS,
    INSTANT,
    day_start_us,
    feed_rows,
    names,
    source_rows,
)
from exit_pipeline.simulator.satiation import Satiation
from exit_pipeline.simulator.world import PLACES, Exposures, World

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """One request: who asks when and where, and the place of each candidate among the day's.

    Args:
        request_id: As the log names it.
        user_id: Who asks.
        at: When.
        place: Where.
        candidates: Item → its number among the day's candidates; each item once.
    """

    request_id: str
    user_id: str
    at: datetime
    place: str
    candidates: Mapping[str, int]


@dataclass(frozen=True)
class LiveDay:
    """A day before anything is shown.

    What would follow is drawn for every candidate, once: whoever shows it sees the same follow
    (common random numbers).

    Args:
        world: The truth.
        day: The day's number.
        source: What users did in the sources, in the log contract's form; on the first day also
            what followed the log's last day after its midnight.
        x: n candidates as exposures, request by request.
        told: What would follow each, as `respond` draws it.
        value: Measure → float64[n], what is expected of each if it is shown.
        slate: Candidates of each request.
    """

    world: World
    day: int
    source: pa.Table
    x: Exposures
    told: Mapping[str, np.ndarray]
    value: Mapping[str, np.ndarray]
    slate: int

    def requests(self) -> Iterator[Request]:
        """Yields the day's requests, by user."""
        midnight = EPOCH + timedelta(microseconds=day_start_us(self.world, self.day))
        firsts = np.arange(0, len(self.x.us), self.slate)
        ids = names(f"r{self.day:04d}-", np.arange(len(firsts)))
        users, items = names("u", self.x.user[firsts]), names("i", self.x.item, 6)
        for n, first in enumerate(firsts.tolist()):
            offered = items[first : first + self.slate].tolist()
            yield Request(
                ids[n],
                users[n],
                midnight + timedelta(microseconds=int(self.x.us[first])),
                PLACES[self.x.place[first]],
                {item: first + i for i, item in enumerate(offered)},
            )

    def earned(self, shown: np.ndarray) -> dict[str, np.ndarray]:
        """What is expected of what is shown: measure → float64[users], summed.

        Args:
            shown: int64[requests, 6], numbers of candidates.
        """
        flat, users = shown.ravel(), self.world.config.users
        return {
            name: np.bincount(self.x.user[flat], weights=value[flat], minlength=users)
            for name, value in self.value.items()
        }

    def exposures(self, shown: np.ndarray) -> np.ndarray:
        """How many items each user is shown: int64[users]."""
        return np.bincount(self.x.user[shown.ravel()], minlength=self.world.config.users)

    def followed(self, shown: np.ndarray) -> pa.Table:
        """Clicks, orders and negative feedback on what is shown, in the log contract's form."""
        flat = shown.ravel()
        x = Exposures(**{name: values[flat] for name, values in vars(self.x).items()})
        order = np.arange(len(flat))
        x = replace(x, position=order % SLATE, request=order // SLATE)
        told = {name: values[flat] for name, values in self.told.items()}
        rows = feed_rows(self.world, self.day, x, told)
        return rows.filter(pc.not_equal(rows["event_type"], "impression"))


def live_days(config: SimulationConfig, first: int, slate: int) -> Iterator[LiveDay]:
    """Yields the days of world A from a day on: there, what is shown does not change who asks.

    Args:
        config: The simulation's; `days` is where it ends.
        first: The first day's number; the log has those before it.
        slate: Candidates of each request.

    Raises:
        UsageError: It is world B, where users tire of what they are shown.
    """
    if config.world != "A":
        raise UsageError(
            "what is shown today changes what users do tomorrow, and live days do not",
            where=f"world {config.world}", mend="name world A",
        )  # fmt: skip
    world, overdue = World(config), EVENTS.empty_table()
    intents, unsated = Intents(world), Satiation(world)
    for day in range(config.days):
        source = source_rows(world, day, intents.next_day(day))
        if day < first:
            if day == first - 1:
                overdue = _after_midnight(world, intents, day)
            continue
        source = pa.concat_tables([source, overdue])
        overdue = EVENTS.empty_table()
        rng = config.rng(7, day, slate)
        x = offer(world, intents, unsated, day, rng, slate)
        told = respond(world, x, day, rng)
        value = _values(world, day, x, world.logits(x, day))
        yield LiveDay(world, day, source, x, told, value, slate)


def _after_midnight(world: World, intents: Intents, day: int) -> pa.Table:
    """What follows a day of the log on the next one, where the log ends with that day."""
    x, told = happen(world, intents, Satiation(world), day)
    rows = feed_rows(world, day, x, told)
    midnight = EPOCH + timedelta(microseconds=day_start_us(world, day + 1))
    return rows.filter(pc.greater_equal(rows["ts"], pa.scalar(midnight, INSTANT)))
