"""The simulator as the A/B test that a log cannot give: it answers what a policy would earn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa

from exit_pipeline.simulator.feed import ask, offer_to
from exit_pipeline.simulator.intents import Intents
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
        mean, drawn = self.drawn(policy, against, measure, draws=draws, seed=seed)
        low, high = np.quantile(drawn, [0.025, 0.975])
        return mean, float(low), float(high)

    def drawn(
        self, policy: str, against: str, measure: str, *, draws: int = 1000, seed: int = 0
    ) -> tuple[float, np.ndarray]:
        """The relative difference, and float64[draws] of it over users drawn anew."""
        weights = _weights(draws, len(self.shown), seed)
        ours = weights @ self.per_user[policy][measure]
        theirs = weights @ self.per_user[against][measure]
        return self.mean(policy, measure) / self.mean(against, measure) - 1, ours / theirs - 1


@lru_cache(maxsize=1)
def _weights(draws: int, users: int, seed: int) -> np.ndarray:
    """How often each user counts in a draw: float64[draws, users], the same for all policies."""
    return np.random.default_rng(seed).poisson(1.0, (draws, users)).astype(np.float64)


@dataclass(frozen=True)
class Asked:
    """The requests of a day with their candidates, and what is true of each candidate.

    Args:
        table: n candidates, request by request: `request_id, user_id, item_id, ts, place`.
        user: int64[requests], who asks.
        chance: float64[n], the true chance of a click.
        value: Measure → float64[n], what a candidate is expected to bring if shown.
        users: Number of users in the world.
    """

    table: pa.Table
    user: np.ndarray
    chance: np.ndarray
    value: Mapping[str, np.ndarray]
    users: int

    def shown(self, score: np.ndarray, show: int = 6) -> dict[str, np.ndarray]:
        """What the best `show` of each request bring: measure → float64[users], summed.

        Args:
            score: float64[n], in the candidates' order.
            show: How many of the best are shown.
        """
        score = score.reshape(len(self.user), -1)
        best = np.argsort(-score, axis=1, kind="stable")[:, :show]
        sums = {}
        for name, values in self.value.items():
            earned = np.take_along_axis(values.reshape(score.shape), best, axis=1).sum(1)
            sums[name] = np.bincount(self.user, weights=earned, minlength=self.users)
        return sums

    def exposures(self, show: int = 6) -> np.ndarray:
        """How many items each user is shown: int64[users]."""
        return np.bincount(self.user, minlength=self.users) * show


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
        policies: Name → a function from candidates (see `Asked.table`) to scores, float64[n]. The
            policy `"truth"` is always there: it ranks by the true chance.
        day: The day asked about; intents are those of a log that runs up to it.
        requests: Number of requests.
        candidates: Items to rank in each.
        show: How many of the best are shown.
    """
    asked = ask_for(world, day=day, requests=requests, candidates=candidates)
    scores = {"truth": asked.chance, **{name: rank(asked.table) for name, rank in policies.items()}}
    per_user = {name: asked.shown(score, show) for name, score in scores.items()}
    return Answer(per_user, asked.exposures(show))


def ask_for(world: World, *, day: int, requests: int = 2000, candidates: int = 48) -> Asked:
    """Draws a day's requests, in the log's hours and places, and what is offered; see `answer`."""
    rng, intents, sated = world.config.rng(6, day), Intents(world), Satiation(world)
    for past in range(day + 1):
        intents.next_day(past)
        if world.config.world == "B" and past < day:  # what the log showed: users tire of it
            ask(world, intents, sated, past, world.config.rng(4, past))
    user = rng.integers(world.config.users, size=requests)
    x = offer_to(world, intents, sated, day, user, rng, candidates)
    # A candidate's place in the draw is nobody's choice: each is worth what it brings shown first.
    x = replace(x, position=np.zeros_like(x.position))
    truth = world.logits(x, day)
    table = _candidates(world, day, x, np.repeat(np.arange(requests), candidates))
    chance, value = sigmoid(truth["logit"]), _values(world, day, x, truth)
    return Asked(table, user, chance, value, world.config.users)


def _values(
    world: World, day: int, x: Exposures, truth: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    click = sigmoid(truth["logit"])
    order = click * world.order_rate(truth)
    return {"ctr": click, "ctcvr": order, "gtv": order * world.price_on(x.item, day),
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
