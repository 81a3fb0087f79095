"""Arrays of a day to rows in the log contract's form, as Arrow tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from exit_pipeline.simulator.feed import SLATE
from exit_pipeline.simulator.intents import SourceEvents
from exit_pipeline.simulator.world import PLACES, Exposures, World, sigmoid

INSTANT = pa.timestamp("us", "UTC")
EVENTS = pa.schema(
    [
        ("event_id", pa.string()), ("ts", INSTANT), ("user_id", pa.string()),
        ("item_id", pa.string()), ("domain", pa.string()), ("event_type", pa.string()),
        ("request_id", pa.string()), ("value", pa.float64()), ("position", pa.int32()),
        ("place", pa.string()),
    ]
)  # fmt: skip
KINDS = np.array(["impression", "click", "order"])


def day_start_us(world: World, day: int) -> int:
    """Midnight of a day of the log, in µs since the epoch."""
    start = world.config.start
    moment = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=day)
    return int(moment.timestamp()) * 1_000_000


def names(prefix: str, numbers: np.ndarray, width: int = 7) -> np.ndarray:
    """`u0000012` and the like, for an array of numbers; a number of more digits keeps them all."""
    if not len(numbers):
        return np.array([], dtype=str)
    digits = max(width, len(str(numbers.max())))
    return np.char.add(prefix, np.char.zfill(numbers.astype(f"U{digits}"), width))


def rows(
    world: World, day: int, ids: np.ndarray, us: np.ndarray, user: np.ndarray, item: np.ndarray,
    domain: np.ndarray | str, kind: np.ndarray | str, request: np.ndarray | None = None,
    value: np.ndarray | None = None, position: np.ndarray | None = None,
    place: np.ndarray | None = None,
) -> pa.Table:  # fmt: skip
    """Builds rows of the contract from aligned arrays; None is a column of nulls."""
    n = len(us)

    def column(values, kind: pa.DataType) -> pa.Array:
        if values is None:
            return pa.nulls(n, kind)
        if isinstance(values, str):
            return pa.array([values] * n, kind)
        return pa.array(values, kind, from_pandas=True)

    columns = [
        column(ids, pa.string()),
        pa.array(us + day_start_us(world, day)).cast(INSTANT),
        column(names("u", user), pa.string()),
        column(names("i", item, 6), pa.string()),
        column(domain, pa.string()),
        column(kind, pa.string()),
        column(request, pa.string()),
        column(value, pa.float64()),
        column(position, pa.int32()),
        column(place, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=EVENTS)


def source_rows(world: World, day: int, events: SourceEvents) -> pa.Table:
    """Rows of a day's source events, as the sources log them."""
    domains = np.array(world.config.source_names)
    if day < world.config.last_source_from:
        events = events.where(events.source < world.config.sources - 1)
    n = len(events.us)
    value = np.where(events.kind == 2, world.price_on(events.item, day), np.nan)
    ids = names(f"s{day:04d}-", np.arange(n))
    user, item = world.source_user[events.user], world.source_item[events.item]
    return rows(world, day, ids, events.us, user, item,
                domains[events.source], KINDS[events.kind], value=value)  # fmt: skip


def feed_rows(world: World, day: int, x: Exposures, told: dict[str, np.ndarray]) -> pa.Table:
    """Rows of a day's exposures and of what followed; one in ten outcomes names no request."""
    request = names(f"r{day:04d}-", x.request)
    place = np.array(PLACES)[x.place]
    tables = [
        rows(world, day, names(f"f{day:04d}-", np.arange(len(x.us))), x.us, x.user, x.item,
             "feed", "impression", request, position=x.position, place=place)
    ]  # fmt: skip
    for kind, mask, prefix in (("click", "clicked", "c"), ("order", "ordered", "o"),
                               ("negative", "negative", "n")):  # fmt: skip
        m = np.flatnonzero(told[mask])
        named = request[m].astype(object)
        named[~told[f"{kind}_named"][m]] = None
        value = world.price_on(x.item[m], day) if kind == "order" else None
        tables.append(
            rows(world, day, names(f"{prefix}{day:04d}-", m), x.us[m] + told[f"{kind}_delay"][m],
                 x.user[m], x.item[m], "feed", kind, named, value, place=place[m])
        )  # fmt: skip
    return pa.concat_tables(tables)


def truth_rows(world: World, day: int, x: Exposures, told: dict[str, np.ndarray]) -> pa.Table:
    """What is true of a day's exposures: never in reach of training."""
    columns: dict[str, np.ndarray] = {
        "event_id": names(f"f{day:04d}-", np.arange(len(x.us))),
        "own": told["own"],
        "repelled": told["repelled"],
        "p_click": sigmoid(told["logit"]),
    }
    for k, source in enumerate(world.config.source_names):
        columns[f"intent_{source}"] = x.intent[:, k]
        columns[f"transfer_{source}"] = told["a"][:, k]
        columns[f"carried_{source}"] = told["carried"][:, k]
    return pa.table({name: pa.array(values) for name, values in columns.items()})


__all__ = ["EVENTS", "SLATE", "day_start_us", "feed_rows", "source_rows", "truth_rows"]
