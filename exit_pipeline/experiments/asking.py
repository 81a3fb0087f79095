"""The simulator as an A/B test: requests of the evaluation days, with what the scorer reads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.features.entities import SNAPSHOTS, asked_by
from exit_pipeline.features.training_set import joined_features
from exit_pipeline.labels.names import names, values
from exit_pipeline.lake import Lake, connect, create_table, render
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Settings
from exit_pipeline.simulator import Asked, SimulationConfig, World, ask_for

# Requests of one evaluation day, as a share of the users; each offers 48 candidates.
REQUESTS_PER_USER = 0.5


@dataclass(frozen=True)
class Question:
    """Candidates of requests, the scorer's columns beside each, and what is true of them.

    Args:
        rows: n candidates in the order of `asked`, with the columns that models read.
        asked: The requests, a day after the other.
    """

    rows: pa.Table
    asked: Sequence[Asked]

    def answer(self, score: np.ndarray) -> dict[str, np.ndarray]:
        """What a policy earns: measure → float64[users], summed over what each user was shown.

        Args:
            score: float64[n]; the best six of each request are shown.
        """
        ends = np.cumsum([asked.table.num_rows for asked in self.asked])[:-1]
        parts = [a.shown(s) for a, s in zip(self.asked, np.split(score, ends), strict=True)]
        return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}

    def exposures(self) -> np.ndarray:
        """How many items each user is shown: int64[users]."""
        return np.sum([asked.exposures() for asked in self.asked], axis=0)

    @property
    def chance(self) -> np.ndarray:
        """The true chance of a click of each candidate: float64[n], the best that can be."""
        return np.concatenate([asked.chance for asked in self.asked])

    @classmethod
    def read(cls, folder: Path) -> Question:
        """Reads what `ask_world` wrote."""
        users = json.loads((folder / "question.json").read_text("utf-8"))["users"]
        asked = []
        for file in sorted(folder.glob("asked-*.npz")):
            with np.load(file) as held:
                arrays = dict(held)
            user, chance = arrays.pop("user"), arrays.pop("chance")
            table = pa.table({"candidate": np.arange(len(chance))})
            asked.append(Asked(table, user, chance, arrays, users))
        return cls(pq.read_table(folder / "rows.parquet"), asked)


def ask_world(
    config: SimulationConfig, settings: Settings, lake: Lake, profile: Profile,
    days: Sequence[date], folder: Path,
) -> None:  # fmt: skip
    """Draws the requests of some days and joins what was known at each, by the training join.

    Args:
        config: What the log was simulated from.
        settings: Limits.
        lake: The tables made of the log.
        profile: The log's.
        days: Evaluation days.
        folder: Gets the rows and the truth.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    world, tables = World(config), []
    for day in sorted(days):
        number = (day - config.start).days
        asked = ask_for(world, day=number, requests=round(config.users * REQUESTS_PER_USER))
        tables.append(_as_events(asked.table, day, profile))
        np.savez(partial / f"asked-{number:04d}.npz", user=asked.user, chance=asked.chance,
                 **asked.value)  # type: ignore[arg-type]  # fmt: skip
    pq.write_table(pa.concat_tables(tables), partial / "events.parquet")
    _join(settings, lake, profile, days, partial)
    text = json.dumps({"users": config.users, "days": [str(day) for day in sorted(days)]})
    (partial / "question.json").write_text(text, "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _as_events(candidates: pa.Table, day: date, profile: Profile) -> pa.Table:
    """Candidates as impressions of the contract, so that one SQL file places both in scenes."""
    n = candidates.num_rows
    constants: Mapping[str, pa.Array] = {
        "ds": pa.array([day] * n), "known_on": pa.array([day] * n),
        "domain": pa.array([profile.spec.target] * n),
        "event_type": pa.array(["impression"] * n), "value": pa.nulls(n, pa.int64()),
        "position": pa.nulls(n, pa.int32()),
        "event_id": pa.array([f"{day}-{number:09d}" for number in range(n)]),
    }  # fmt: skip
    for name, column in constants.items():
        candidates = candidates.append_column(name, column)
    return candidates


def _join(
    settings: Settings, lake: Lake, profile: Profile, days: Sequence[date], folder: Path
) -> None:
    spec, placed = profile.spec, folder / "placed.parquet"
    with connect(settings, lake.home) as connection:
        for name in ("items", "users", *SNAPSHOTS):
            lake.view(connection, name)
        events = render("_files", files=[str(folder / "events.parquet")], partitions=())
        connection.execute(f"create temp view events as {events}")
        bound = values(spec, min(days), max(days))
        create_table(connection, "placed", "impressions", bound, **names(spec))
        rows = render("experiment_entities", labels=False, **asked_by(spec))
        connection.sql(rows).write_parquet(str(placed))
        with joined_features(settings, lake, profile, str(placed)) as reader:
            table = reader.read_all().sort_by("event_id")
    pq.write_table(table, folder / "rows.parquet", compression="zstd")
    for scratch in (placed, folder / "events.parquet"):
        scratch.unlink()
