"""A home to serve from: a simulated log, its features, versions that tell themselves apart."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exit_pipeline.bench.processes import COMMAND
from exit_pipeline.bench.serving_scoring import untrained
from exit_pipeline.lake import Lake
from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.profile.policy import scene_values
from exit_pipeline.registry import Registry
from exit_pipeline.settings import Settings, load_settings
from exit_pipeline.simulator import SimulationConfig, simulate
from exit_pipeline.simulator.world import CATEGORIES
from exit_pipeline.training.artifact import TrainedModel, save_model

# What would lead a bench to state that is not its own.
ELSEWHERE = ("EXIT_API_KEY", "EXIT_PROFILE", "EXIT_REDIS", "MLFLOW_TRACKING_URI")
BIASES = (-0.5, 0.5)
K = 10
ITEMS = 1000  # with ids that a model knows
RUN_SECONDS = 600


@dataclass(frozen=True)
class ServedHome:
    """A home with two versions each of the default model and of the reference configuration.

    Args:
        root: `EXIT_HOME`.
        versions: By model the numbers of two that differ in the constant of their calibration.
    """

    root: Path
    versions: Mapping[str, tuple[int, int]]

    @property
    def settings(self) -> Settings:
        """Of the environment, on this home."""
        return load_settings(home=self.root)

    @property
    def profile(self) -> Profile:
        """The one it simulates."""
        return load_profile("simulated")

    @property
    def lake(self) -> Lake:
        """The tables."""
        return Lake(self.settings.home_of("simulated"))

    @property
    def registry(self) -> Registry:
        """The versions."""
        return Registry(self.lake.home, "simulated")

    @property
    def check(self) -> dict[str, Any]:
        """What an answer must be, see `serving_load.fault`."""
        pairs = (zip(numbers, BIASES, strict=True) for numbers in self.versions.values())
        return {"k": K, "bias": {str(number): bias for pair in pairs for number, bias in pair}}


def make_home(root: Path, config: SimulationConfig) -> ServedHome:
    """Simulates a log and brings its features online in a process of its own; then as below."""
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    simulate(config, load_settings(home=root).home_of("simulated").landing)
    environment = {**os.environ, "EXIT_HOME": str(root)}
    subprocess.run(
        [*COMMAND, "run", "--select", "*online_store"], env=environment, check=True,
        stdout=subprocess.DEVNULL, timeout=RUN_SECONDS,
    )  # fmt: skip
    return with_versions(root)


def with_versions(root: Path) -> ServedHome:
    """Registers untrained versions in a home, and makes the first champion."""
    registry = Registry(load_settings(home=root).home_of("simulated"), "simulated")
    numbers = {}
    for name in ("exit", "towers"):
        model = untrained(name, load_profile("simulated").spec, ITEMS, CATEGORIES)
        numbers[name] = [
            registry.register({"model": _saved(model, bias, root)}, {}, {"model": name})
            for bias in BIASES
        ]
    registry.force(numbers["exit"][0], "the first")
    return ServedHome(root, {name: (one, other) for name, (one, other) in numbers.items()})


def _saved(model: TrainedModel, bias: float, root: Path) -> Path:
    folder = root / "bench" / f"{model.name} {bias}" / "model"  # the name it is read by
    save_model(replace(model, calibration=replace(model.calibration, bias=bias)), folder)
    return folder


def questions(home: ServedHome, users: int, candidates: int, n: int = 500) -> str:
    """Writes questions of random users in random scenes; returns the file, a question a line."""
    from exit_pipeline.ranking.snapshot import Snapshot

    spec, rng = home.profile.spec, np.random.default_rng(0)
    items = Snapshot.load(home.settings, home.lake, spec).catalogue
    file = home.root / "bench" / "questions.jsonl"
    lines = []
    for _ in range(n):
        scene = {name: str(rng.choice(values)) for name, values in scene_values(spec).items()}
        some = rng.permutation(items)[:candidates].tolist()
        user = f"u{rng.integers(users):07}"
        ask = {"user_id": user, "scene": scene, "candidates": some, "k": K}
        lines.append(json.dumps(ask))
    file.write_text("\n".join(lines))
    return str(file)
