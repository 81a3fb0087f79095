"""The feed of one day: who asks, what retrieval offers, and what follows."""

from __future__ import annotations

import numpy as np

from exit_pipeline.simulator.intents import Intents
from exit_pipeline.simulator.satiation import Satiation
from exit_pipeline.simulator.world import BAND_STARTS, CATEGORIES, Exposures, World, sigmoid
from exit_pipeline.times import DAY_US, HOUR_US

SLATE = 6
# Of each outcome: the share that names the request it follows.
NAMED = 0.9
# A catalogue that is hardly larger than a slate may still offer an item again after so many.
TRIES = 100
HOUR_WEIGHTS = np.array(
    [1, 0.5, 0.3, 0.3, 0.4, 0.8, 2, 4, 4, 3, 3, 4, 6, 5, 4, 4, 5, 6, 7, 8, 9, 8, 5, 3]
)


def happen(
    world: World, intents: Intents, sated: Satiation, day: int
) -> tuple[Exposures, dict[str, np.ndarray]]:
    """Draws a day of the log: what retrieval shows, and what follows each of it."""
    rng = world.config.rng(4, day)
    x = ask(world, intents, sated, day, rng)
    return x, respond(world, x, day, rng)


def ask(
    world: World, intents: Intents, sated: Satiation, day: int, rng: np.random.Generator
) -> Exposures:
    """Draws the feed requests of a day and the items that retrieval shows for each."""
    x = offer(world, intents, sated, day, rng)
    sated.add(x)
    return x


def offer(
    world: World,
    intents: Intents,
    sated: Satiation,
    day: int,
    rng: np.random.Generator,
    slate: int = SLATE,
) -> Exposures:
    """Draws the feed requests of a day, and `slate` candidates that retrieval offers for each."""
    config = world.config
    asks = np.repeat(np.arange(config.users), rng.poisson(config.requests, config.users))
    return offer_to(world, intents, sated, day, asks, rng, slate)


def offer_to(
    world: World,
    intents: Intents,
    sated: Satiation,
    day: int,
    asks: np.ndarray,
    rng: np.random.Generator,
    slate: int = SLATE,
) -> Exposures:
    """Draws when and where the users `asks` ask on a day, and `slate` candidates for each."""
    weekend = (world.config.start.toordinal() + day - 1) % 7 >= 5
    hour = rng.choice(24, size=len(asks), p=HOUR_WEIGHTS / HOUR_WEIGHTS.sum())
    us = (hour * HOUR_US + rng.integers(0, 3_500_000_000, len(asks))).astype(np.int64)
    at_work = ((hour >= 9) & (hour < 17)) * (0.1 if weekend else 0.55)
    draw = rng.random(len(asks))
    place = np.where(draw < at_work, 1, np.where(draw < at_work + 0.2, 2, 0))
    item = retrieve(world, intents, day, asks, us, rng, slate)
    user, us, place = (np.repeat(values, slate) for values in (asks, us, place))
    return _in_scene(world, intents, sated, day, weekend, user, item, us, place)


def _in_scene(
    world: World,
    intents: Intents,
    sated: Satiation,
    day: int,
    weekend: bool,
    user: np.ndarray,
    item: np.ndarray,
    us: np.ndarray,
    place: np.ndarray,
) -> Exposures:
    """Puts exposures into their scene; arrays of length n, `us` within the day."""
    n = len(user)
    position = np.arange(n) % SLATE
    return Exposures(
        user=user,
        item=item,
        us=us + position * 1000,
        band=np.searchsorted(BAND_STARTS, us // HOUR_US, side="right") - 1,
        kind=np.full(n, int(weekend)),
        place=place,
        position=position,
        request=np.arange(n) // SLATE,
        intent=intents.seen(user, world.category[item], day * DAY_US + us),
        seen=sated.seen(user, item),
    )


def retrieve(
    world: World,
    intents: Intents,
    day: int,
    user: np.ndarray,
    us: np.ndarray,
    rng: np.random.Generator,
    slate: int = SLATE,
) -> np.ndarray:
    """Offers items: at random, popular, to the user's taste, or led by what the user is after."""
    n, c = len(user) * slate, len(CATEGORIES)
    asked = np.repeat(user, slate)
    category = rng.integers(c, size=n)
    way = rng.random(n)
    tasted = np.argmax(world.taste[asked] + rng.gumbel(size=(n, c)), axis=1)
    category = np.where((way > 0.45) & (way < 0.75), tasted, category)
    now = np.repeat(day * DAY_US + us, slate)
    alive = intents.ends[asked] > now[:, None, None]
    wants = (alive & (intents.shown_at[asked] < now[:, None, None])).any(1)
    led = np.argmax(wants * rng.random((n, c)), axis=1)
    category = np.where((way >= 0.75) & wants.any(1), led, category)
    per_category = max(world.config.items // c, 1)
    rank = rng.integers(per_category, size=n)
    popular = rng.integers(max(per_category // 5, 1), size=n)
    item = category + c * np.where(way < 0.2, popular, rank)
    item = world.born(np.minimum(item, world.config.items - 1), day)
    return _once(world, day, item.reshape(-1, slate), rng).ravel()


def _once(world: World, day: int, slates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Puts others at random in the place of what a slate offers again: int64[requests, slate]."""
    for _ in range(TRIES):
        order = np.argsort(slates, axis=1, kind="stable")
        items = np.take_along_axis(slates, order, axis=1)
        again = np.zeros(slates.shape, bool)
        np.put_along_axis(again, order[:, 1:], items[:, 1:] == items[:, :-1], axis=1)
        if not again.any():
            break
        others = rng.integers(world.config.items, size=again.sum())
        slates[again] = world.born(others, day)
    return slates


def respond(
    world: World, x: Exposures, day: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draws what users do: clicks, orders and negative feedback, with their delays in µs.

    `…_named` says which of them name the request that they follow.
    """
    parts = world.logits(x, day)
    n = len(x.user)
    clicked = rng.random(n) < sigmoid(parts["logit"])
    ordered = clicked & (rng.random(n) < world.order_rate(parts))
    negative = ~clicked & (rng.random(n) < world.negative_rate(parts, x))
    click_delay = (2e6 + rng.exponential(40e6, n)).astype(np.int64)
    bought = (9e7 + np.minimum(rng.exponential(3.6e9, n), 7.0e10)).astype(np.int64)
    told = {
        **parts,
        "clicked": clicked,
        "ordered": ordered,
        "negative": negative,
        "click_delay": click_delay,
        "order_delay": click_delay + bought,
        "negative_delay": (2e6 + rng.exponential(20e6, n)).astype(np.int64),
    }
    for kind, happened in (("click", clicked), ("order", ordered), ("negative", negative)):
        named = np.zeros(n, bool)
        named[happened] = rng.random(happened.sum()) < NAMED
        told[f"{kind}_named"] = named
    return told
