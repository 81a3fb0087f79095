"""A small training set with planted transfer, as Parquet files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.model import InputSpec
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec

SOURCES = ("zeta", "alpha", "mid")  # not in alphabetical order, on purpose
SPEC = InputSpec(
    categorical=("user_id", "item_id", "unit", "place"),
    numeric=("user_rate", "item_rate"),
    source_numeric={s: (f"{s}_count", f"lift_{s}") for s in SOURCES},
)
MODEL = ModelSpec(
    embedding_dim=4, bins=4, members=2, hidden=(16,), side_hidden=(16,), id_dropout=0.5
)
TRAINING = TrainingSpec(batch_size=256, epochs=4, learning_rate=0.01)


def make_table(n: int, seed: int) -> pa.Table:
    """Rows whose outcome follows own taste, and the source's count where the place lets it."""
    rng = np.random.default_rng(seed)
    user, item, place = rng.integers(40, size=n), rng.integers(30, size=n), rng.integers(2, size=n)
    columns: dict[str, object] = {
        "event_id": np.char.add(f"e{seed}-", np.arange(n).astype(str)),
        "user_id": np.char.add("u", user.astype(str)),
        "item_id": np.char.add("i", item.astype(str)),
        "unit": np.char.add("c", (item % 5).astype(str)),
        "place": np.array(["home", "out"])[place],
        "scene": np.array(["home", "out"])[place],
        "user_rate": rng.random(n),
        "item_rate": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
        "event_timestamp": pa.array(
            [datetime(2026, 1, 5, tzinfo=UTC)] * n, pa.timestamp("us", "UTC")
        ),
    }
    logit = -2.0 + 1.5 * columns["user_rate"] + 0.5 * np.sin(user)
    for k, source in enumerate(SOURCES):
        count = rng.poisson(0.4, n)
        carries = place == k % 2
        shown = count > 0
        logit = logit + 1.5 * shown * carries
        columns |= {
            f"{source}_count": count.astype(float), f"lift_{source}": np.where(carries, 2.5, 0.9),
            f"ys_{source}": shown.astype(np.int8), f"ahead_{source}": (shown & (rng.random(n) < 0.5)).astype(np.int8),
            f"consistent_{source}": carries.astype(float),
        }  # fmt: skip
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    columns |= {"y": y, "y_click": y, "y_order": (y * (rng.random(n) < 0.3)).astype(np.int8)}
    icl = [y + columns[f"ys_{s}"] * columns[f"consistent_{s}"] for s in SOURCES]
    columns |= {f"icl_{s}": v for s, v in zip(SOURCES, icl, strict=True)} | {
        "icl": np.max(icl, axis=0)
    }
    return pa.table(columns)


def write_parts(folder: Path, n: int = 2000, change=lambda table: table) -> dict[str, list[str]]:
    """Writes the parts of a split; returns their files."""
    parts = {}
    for seed, part in enumerate(("train", "validation", "calibration")):
        file = folder / f"{part}.parquet"
        pq.write_table(change(make_table(n, seed)), file)
        parts[part] = [str(file)]
    return parts
