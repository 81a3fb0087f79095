"""The slices of evaluation rows that studies tell apart, the planted truth's among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exit_pipeline.experiments.specs import HeldOut
from exit_pipeline.experiments.worlds import World
from exit_pipeline.lake import connect, render
from exit_pipeline.lake.duck import quoted

SCENE_POSITIVES = 500
# Planted transferability up to, and from, which interest is said not to transfer, or to.
NOTHING, MUCH = 0.05, 0.5


def slices_of(
    world: World,
    training: Sequence[str],
    least: int,
    shown: np.ndarray,
    transfer: np.ndarray | None,
    held_out: HeldOut | None,
) -> dict[str, np.ndarray]:
    """Names the slices of a world's n evaluation rows.

    Args:
        world: Which.
        training: Files of the training rows: ids rarer there than `least` are cold.
        least: As the models' vocabularies count.
        shown: bool[n, K], y_s,k = 1.
        transfer: float64[n, K], the planted transferability; None on real data.
        held_out: What training had seen in its last days alone.

    Returns:
        bool[n] by name, `all` first.
    """
    table = world.evaluation
    return {
        "all": np.ones(table.num_rows, bool),
        "source interest": np.asarray(shown.any(1)),
        **(_of_truth(world, table, shown, transfer) if transfer is not None else {}),
        **({"held out": _held(table, held_out)} if held_out else {}),
        **dict(_cold(world, table, training, least)),
        **dict(_scenes(table)),
    }


def _held(table: pa.Table, held_out: HeldOut) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.equal(table[held_out.column], held_out.value), False))


def _of_truth(
    world: World, table: pa.Table, shown: np.ndarray, truth: np.ndarray
) -> dict[str, np.ndarray]:
    planted = pq.read_table(world.log / "truth" / "transferability.parquet")
    most = planted.group_by("category").aggregate([("transfer", "max")])
    never = most.filter(pc.equal(most["transfer_max"], 0))["category"].combine_chunks()
    best = np.where(shown, truth, -1.0).max(1)
    interest = shown.any(1)
    return {
        "units that never transfer": np.asarray(pc.is_in(table["unit"], never)),
        "nothing transfers": interest & (best <= NOTHING),
        "much transfers": interest & (best >= MUCH),
    }


def _cold(
    world: World, table: pa.Table, training: Sequence[str], least: int
) -> Iterator[tuple[str, np.ndarray]]:
    with connect(world.settings, world.home) as connection:
        rows = render("_files", files=training, partitions=())
        connection.execute(f"create temp view rows as {rows}")
        for name, column in (("cold users", "user_id"), ("cold items", "item_id")):
            query = render("model_vocabulary", column=quoted(column))
            known = connection.execute(query, {"least": least}).fetchall()
            values = pa.array([value for (value,) in known], pa.string())
            yield name, ~np.asarray(pc.is_in(table[column], values))


def _scenes(table: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
    positive = pc.equal(table["y"], 1)
    counts = pc.value_counts(table["scene"].filter(positive)).to_pylist()
    for scene in sorted(c["values"] for c in counts if c["counts"] >= SCENE_POSITIVES):
        yield f"scene {scene}", np.asarray(pc.equal(table["scene"], scene))
