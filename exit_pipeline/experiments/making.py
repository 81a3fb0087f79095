"""Makes worlds: a log, the tables of it, the split rows, and what the simulator is asked."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from exit_pipeline.experiments.asking import ask_world
from exit_pipeline.experiments.code import code_digest
from exit_pipeline.experiments.overrides import overridden
from exit_pipeline.experiments.specs import WorldSpec
from exit_pipeline.experiments.tables import build_tables, sorted_rows
from exit_pipeline.experiments.worlds import LOCK_SECONDS, World, busy
from exit_pipeline.files import write_text
from exit_pipeline.lake import Lake
from exit_pipeline.lock import exclusive
from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.settings import Settings
from exit_pipeline.simulator import simulate
from exit_pipeline.training.split import split_days

LOG_CODE = ("simulator", "profiles/simulated")
TABLES_CODE = (
    "sql", "ingest", "labels", "features", "feast_stores", "lake", "profile", "stages.py",
    "training/split.py", "experiments/tables.py", "experiments/making.py", "experiments/worlds.py",
    "experiments/asking.py", "experiments/mixed.py", "experiments/flipped.py", *LOG_CODE,
)  # fmt: skip
READY = "ready.json"


def prepare(spec: WorldSpec, settings: Settings) -> World:
    """Makes a world unless it stands: log, tables, split rows, and what the simulator is asked.

    Args:
        spec: Which.
        settings: Limits and the home; all of it lies under `EXIT_HOME/experiments`.
    """
    root = settings.home.absolute() / "experiments"
    folder = root / "worlds" / spec.key
    with exclusive(folder / "lock", LOCK_SECONDS, busy(folder)):
        profile = _profile(spec, root / "logs")
        world = World(spec, settings, profile, folder, {}, "", (date.min, date.min))
        ready = _ready(folder)
        if ready.get("made_by") != _made_by(profile):
            _make(world)
            ready = _ready(folder)
    first, last = (date.fromisoformat(day) for day in ready["training"])
    return replace(
        world,
        parts={p: [str(folder / file) for file in files] for p, files in ready["parts"].items()},
        training=(first, last),
        digest=ready["digest"],
        seconds=ready["seconds"],
    )


def _profile(spec: WorldSpec, logs: Path) -> Profile:
    if not spec.simulated:
        found = load_profile(spec.name)
    else:
        log = logs / spec.log
        with exclusive(logs / f".{spec.log}.lock", LOCK_SECONDS, busy(log)):
            made_by, code = log / "code.txt", code_digest(*LOG_CODE)
            if not made_by.exists() or made_by.read_text("utf-8") != code:
                simulate(spec.config, log, overwrite=True)
                write_text(made_by, code)
        found = load_profile(log / "profile")
    return replace(found, spec=overridden(found.spec, spec.profile))


def _make(world: World) -> None:
    settings, profile, folder = world.settings, world.profile, world.folder
    # Tables of other code may have other columns.
    shutil.rmtree(world.home.root, ignore_errors=True)
    lake = Lake(world.home, "experiments")
    started = time.perf_counter()
    build_tables(settings, lake, profile)
    seconds = round(time.perf_counter() - started, 1)
    states = {day: s for day, s in lake.days("training_set").items() if s.rows}
    split = split_days(list(states), profile.spec.split, profile.spec.labels.horizon_days).days()
    parts = {
        part: lake.files("training_set", [("ds", ">=", min(days)), ("ds", "<=", max(days))])
        for part, days in split.items()
    }
    for part in ("validation", "evaluation"):
        sorted_rows(settings, world.home, parts[part], folder / f"{part}.parquet")
    if world.spec.simulated:
        ask_world(world.spec.config, settings, lake, profile, split["evaluation"],
                  folder / "question")  # fmt: skip
    made_by, hashes = _made_by(profile), [states[day].hash for day in sorted(states)]
    days = {part: [str(day) for day in found] for part, found in split.items()}
    digest = hashlib.sha256(json.dumps([made_by, hashes, days]).encode())
    ready = {
        "parts": {p: [str(Path(f).relative_to(folder)) for f in fs] for p, fs in parts.items()},
        "training": [str(min(split["train"])), str(max(split["train"]))],
        "digest": digest.hexdigest(),
        "made_by": made_by,
        "seconds": seconds,
    }
    shutil.rmtree(folder / "samples", ignore_errors=True)
    write_text(folder / READY, json.dumps(ready))


def _made_by(profile: Profile) -> str:
    """What decides a world's tables: code, and the profile with all its defaults."""
    told = f"{code_digest(*TABLES_CODE)} {profile.spec.model_dump_json()}"
    return hashlib.sha256(told.encode()).hexdigest()


def _ready(folder: Path) -> dict[str, Any]:
    """What a world that is ready says of itself; nothing where it is not."""
    file = folder / READY
    return json.loads(file.read_text("utf-8")) if file.exists() else {}
