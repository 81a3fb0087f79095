"""The simulator as the A/B test that a log cannot give: it answers what a policy would earn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from exit_pipeline.simulator.feed import ask, place_exposures, retrieve
from exit_pipeline.simulator.intents import DAY_US, Intents
from exit_pipeline.simulator.rows import INSTANT, day_start_us, names
from exit_pipeline.simulator.satiation import Satiation
from exit_pipeline.simulator.world import PLACES, Exposures, World, sigmoid

Policy = Callable[[pa.Table], np.ndarray]
MEASURES = ("ctr", "ctcvr", "gtv", "negative")


@dataclass(frozen=True)
class Answer:
    """Expected outcomes per exposure, by policy, from the same requests and candidates.

    Args:
        per_user: policy → measure → float64[users], sums over what each user was shown.
        shown: Exposures of each user, int64[users].
    """

    per_user: Mapping[str, Mapping[str, np.ndarray]]
    shown: np.ndarray

    def mean(self, policy: str, measure: str) -> float:
        """The expected value per exposure."""
        return float(self.per_user[policy][measure].sum() / self.shown.sum())

    def difference(
        self, policy: str, against: str, measure: str, *, draws: int = 1000, seed: int = 0
    ) -> tuple[float, float, float]:
        """The relative difference and its 95 % interval, by a paired bootstrap over users."""
        weights = np.random.default_rng(seed).poisson(1.0, (draws, len(self.shown)))
        ours = weights @ self.per_user[policy][measure]
        theirs = weights @ self.per_user[against][measure]
        low, high = np.quantile(ours / theirs - 1, [0.025, 0.975])
        return self.mean(policy, measure) / self.mean(against, measure) - 1, float(low), float(high)


def answer(
    world: World,
    policies: Mapping[str, Policy],
    *,
    day: int,
    requests: int = 2000,
    candidates: int = 48,
    show: int = 6,
) -> Answer:
    """Plays a day's requests once for every policy.

    Args:
        world: The truth.
        policies: Name → a function from candidates (`request_id, user_id, item_id, ts, place`) to
            scores, float64[n]. The policy `"truth"` is always there: it ranks by the true chance.
        day: The day asked about; intents are those of a log that runs up to it.
        requests: Number of requests.
        candidates: Items to rank in each.
        show: How many of the best are shown.
    """
    rng, intents, sated = world.config.rng(6, day), Intents(world), Satiation(world)
    for past in range(day + 1):
        intents.next_day(past)
        if world.config.world == "B" and past < day:  # what the log showed: users tire of it
            ask(world, intents, sated, past, world.config.rng(4, past))
    user = rng.integers(world.config.users, size=requests)
    us = rng.integers(0, DAY_US, size=requests)
    place = np.repeat(rng.integers(len(PLACES), size=requests), candidates)
    weekend = (world.config.start.toordinal() + day - 1) % 7 >= 5
    item = retrieve(world, intents, day, user, us, rng, candidates)
    x = place_exposures(
        world,
        intents,
        sated,
        day,
        np.repeat(user, candidates),
        item,
        np.repeat(us, candidates),
        place,
        weekend,
    )
    truth = world.logits(x, day)
    value = _values(world, x, truth)
    table = _candidates(world, day, x, np.repeat(np.arange(requests), candidates))
    scores = {"truth": truth["logit"], **{name: rank(table) for name, rank in policies.items()}}
    per_user = {
        name: _shown(score.reshape(requests, candidates), value, user, show, world.config.users)
        for name, score in scores.items()
    }
    return Answer(per_user, np.bincount(user, minlength=world.config.users) * show)


def _values(world: World, x: Exposures, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    click = sigmoid(truth["logit"])
    order = click * world.order_rate(truth)
    return {"ctr": click, "ctcvr": order, "gtv": order * world.price[x.item],
            "negative": (1 - click) * world.negative_rate(truth, x)}  # fmt: skip


def _candidates(world: World, day: int, x: Exposures, request: np.ndarray) -> pa.Table:
    return pa.table(
        {
            "request_id": names("q", request),
            "user_id": names("u", x.user),
            "item_id": names("i", x.item, 6),
            "ts": pa.array(x.us + day_start_us(world, day)).cast(INSTANT),
            "place": np.array(PLACES)[x.place],
        }
    )


def _shown(
    scores: np.ndarray, value: dict[str, np.ndarray], user: np.ndarray, show: int, users: int
) -> dict[str, np.ndarray]:
    best = np.argsort(-scores, axis=1, kind="stable")[:, :show]
    sums = {}
    for name, values in value.items():
        earned = np.take_along_axis(values.reshape(scores.shape), best, axis=1).sum(1)
        sums[name] = np.bincount(user, weights=earned, minlength=users)
    return sums
