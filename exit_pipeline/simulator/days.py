"""Writes a log day by day: memory holds one day and the users' state, however long the log is."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.errors import UsageError
from exit_pipeline.simulator.config import SimulationConfig
from exit_pipeline.simulator.faults import Landing
from exit_pipeline.simulator.feed import happen
from exit_pipeline.simulator.intents import Intents
from exit_pipeline.simulator.profile import write_profile
from exit_pipeline.simulator.rows import (
    INSTANT,
    day_start_us,
    feed_rows,
    names,
    source_rows,
    truth_rows,
)
from exit_pipeline.simulator.satiation import Satiation
from exit_pipeline.simulator.world import (
    AGE_BANDS,
    CATEGORIES,
    DAY_KINDS,
    DEARER_FROM,
    HOUR_BANDS,
    PLACES,
    SEGMENTS,
    World,
)

FOLDERS = ("truth", "users", "items", "profile", "events")  # events last: they say it is whole


def simulate(config: SimulationConfig, out: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Writes a log in the contract's form and, under `truth`, what is true of it (ours).

    Args:
        config: Sizes, seed, world and planted faults.
        out: Gets `events/ds=…/part-0.parquet`, `items`, `users`, `truth` and the log's `profile`.
        overwrite: Replace a log that is there, and whatever else its folders hold.

    Returns:
        Counts of what was written and of the faults planted.

    Raises:
        UsageError: One of the folders to write is there already, be it a log's or someone else's.
    """
    place = out.resolve()  # it has a name of its own, unlike `.`
    there = [folder for folder in FOLDERS if (out / folder).exists()]
    if there and not overwrite:
        raise UsageError(
            "there is a log already, or a folder that it would replace",
            where=str(out / there[0]),
            mend="name another folder, or move this one away first",
        )
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    world = World(config)
    _write_attributes(world, partial)
    counts = _write_days(world, partial)
    write_profile(config, partial / "profile", place.name)
    place.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        shutil.rmtree(place / folder, ignore_errors=True)
        os.replace(partial / folder, place / folder)
    partial.rmdir()
    return {
        "out": str(out),
        "profile": str(out / "profile"),
        "world": config.world,
        "seed": config.seed,
        "days": config.days,
        "users": config.users,
        "items": config.items,
        "sources": config.source_names,
        **counts,
    }


def _write_days(world: World, root: Path) -> dict[str, Any]:
    intents, sated, landing = Intents(world), Satiation(world), Landing(world)
    total = dict.fromkeys(
        ("events", "exposures", "clicks", "orders", "negatives", "source_events"), 0
    )
    for day in range(world.config.days):
        source = source_rows(world, day, intents.next_day(day))
        x, told = happen(world, intents, sated, day)
        happened = pa.concat_tables([source, feed_rows(world, day, x, told)])
        landed = landing.land(day, happened)
        ds = world.config.start + timedelta(days=day)
        _write(landed, root / "events" / f"ds={ds}" / "part-0.parquet")
        _write(truth_rows(world, day, x, told), root / "truth" / "exposures" / f"ds={ds}.parquet")
        for name, number in (
            ("events", landed.num_rows), ("exposures", len(x.us)), ("source_events", len(source)),
            ("clicks", int(told["clicked"].sum())), ("orders", int(told["ordered"].sum())),
            ("negatives", int(told["negative"].sum())),
        ):  # fmt: skip
            total[name] += number
    ctr = total["clicks"] / max(total["exposures"], 1)
    return {**total, "ctr": round(ctr, 5), "planted": dict(landing.counts)}


def _write_attributes(world: World, root: Path) -> None:
    n = world.config.items
    since = np.array([day_start_us(world, int(day)) for day in world.first_day])
    ids, category = names("i", np.arange(n), 6), np.array(CATEGORIES)[world.category]
    brand = names("brand ", world.brand, 2)
    dearer = np.flatnonzero(world.dearer)
    # What only the sources have: like the feed's item in whose place it stands.
    alone = np.flatnonzero(world.source_item >= n)
    elsewhere = names("i", world.source_item[alone], 6)
    _write(
        pa.table(
            {
                "item_id": np.concatenate([ids, ids[dearer], elsewhere]),
                "category": np.concatenate([category, category[dearer], category[alone]]),
                "brand": np.concatenate([brand, brand[dearer], brand[alone]]),
                "price": np.concatenate(
                    [world.price, world.price_on(dearer, DEARER_FROM), world.price[alone]]
                ),
                "valid_from": pa.array(
                    np.concatenate(
                        [
                            since,
                            np.full(len(dearer), day_start_us(world, DEARER_FROM)),
                            since[alone],
                        ]
                    )
                ).cast(INSTANT),
            }
        ),
        root / "items" / "items.parquet",
    )
    users = world.config.users
    _write(
        pa.table(
            {
                "user_id": names("u", np.arange(users)),
                "segment": np.array(SEGMENTS)[world.segment],
                "age_band": np.array(AGE_BANDS)[world.age],
                "valid_from": pa.array(np.full(users, day_start_us(world, -30))).cast(INSTANT),
            }
        ),
        root / "users" / "users.parquet",
    )
    _write(_transfer_table(world), root / "truth" / "transferability.parquet")


def _transfer_table(world: World) -> pa.Table:
    axes = (world.config.source_names, CATEGORIES, HOUR_BANDS, DAY_KINDS, PLACES, SEGMENTS)
    index = np.indices(world.transfer.shape).reshape(len(axes), -1)
    columns = ("source", "category", "hour_band", "day_kind", "place", "segment")
    values = {name: np.array(axis)[i] for name, axis, i in zip(columns, axes, index, strict=True)}
    return pa.table({**values, "transfer": world.transfer.reshape(-1)})


def _write(table: pa.Table, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, compression="zstd")
