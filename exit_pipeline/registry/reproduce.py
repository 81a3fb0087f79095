"""Trains a registered version again from what its lineage records, and says what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exit_pipeline.errors import SettingsError
from exit_pipeline.evaluation import evaluate
from exit_pipeline.evaluation.rows import read_rows
from exit_pipeline.lake import Lake
from exit_pipeline.privacy import Forgotten
from exit_pipeline.profile import Profile
from exit_pipeline.profile.load import MAKE_NOTHING
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.registry.differences import (
    TOLERANCE,
    Difference,
    of_figures,
    tensors,
    values,
)
from exit_pipeline.registry.lineage import (
    FITTED,
    TABLE,
    code_version,
    files_of,
    machine,
    made_from,
    package_versions,
)
from exit_pipeline.registry.models import Registry
from exit_pipeline.registry.recipe import Recipe
from exit_pipeline.registry.rows import holder, other_rows
from exit_pipeline.registry.version import Version
from exit_pipeline.settings import Settings
from exit_pipeline.training.artifact import DESCRIPTION, WEIGHTS
from exit_pipeline.training.device import choose_device
from exit_pipeline.training.loop import Progress

# Where these are as they were, and on a CPU, equal inputs give equal bytes.
PLACE = ("packages", "instruction set", "device", "processes")


@dataclass(frozen=True)
class Reproduction:
    """What came of training a version again.

    Args:
        version: Its number.
        trained: Whether it was: not where the rows are others.
        exact: Whether its place (`PLACE`) is the recorded one, so that bytes must be equal.
        evaluated: Whether there were recorded metrics to compare with.
        causes: What differs before training: code, packages, instruction set, rows, profile.
        results: What differs after it: registered file, encoder, weights, calibration, history,
            metrics.
    """

    version: int
    trained: bool
    exact: bool
    evaluated: bool
    causes: list[Difference]
    results: list[Difference]

    @property
    def identical(self) -> bool:
        """Whether the model that was made is the registered one, bit for bit."""
        return self.trained and not self.results

    @property
    def within_tolerance(self) -> bool:
        """Whether rounding alone may explain every difference."""
        return self.trained and all(difference.tolerated for difference in self.results)

    @property
    def succeeded(self) -> bool:
        """Identical, or elsewhere within tolerance."""
        return self.identical or (self.within_tolerance and not self.exact)

    def to_dict(self) -> dict[str, Any]:
        """What `exit-pipeline reproduce --json` shows."""
        return {
            "version": self.version,
            "identical": self.identical,
            "within_tolerance": self.within_tolerance,
            "bit_for_bit": self.exact,
            "trained": self.trained,
            "metrics_recorded": self.evaluated,
            "tolerance": TOLERANCE,
            "differences": [one.to_dict() for one in (*self.causes, *self.results)],
        }


def reproduce(
    settings: Settings,
    lake: Lake,
    profile: Profile,
    which: int | str,
    progress: Progress = lambda done, total, text: None,
) -> Reproduction:
    """Trains a version again by its lineage alone; nothing is registered, only scratch written.

    Args:
        settings: Their memory limit; threads, processes and device are the recorded ones.
        lake: Where its rows are, or beside which they were kept.
        profile: Today's, whose registry it is; where it differs from the recorded one is told.
        which: A version or alias.
        progress: See `train_model`.

    Raises:
        RegistryError: There is no such version, or its lineage is not one that this code reads.
        TrainingError: The loss went wrong.
        LakeError: Someone is being forgotten.
    """
    registry = Registry(lake.home, profile.name)
    found = registry.get(which)
    lineage, device = made_from(found), _device(found.lineage["device"])
    recipe, table_version = Recipe.read(lineage, device), lineage["tables"][TABLE]
    causes = [*_around(lineage, device), *_profile(lineage, profile)]
    causes += _processes(registry, found.version, recipe)
    exact = device == "cpu" and {cause.what for cause in causes}.isdisjoint(PLACE)
    held = holder(lake, lineage)
    rows = other_rows(settings, held, lineage)
    if rows:
        return Reproduction(found.version, False, exact, False, [*causes, *rows], [])
    recorded = registry.document(found.version, "evaluation.json") or {}
    with Forgotten(lake.home).learning(), lake.home.scratch() as scratch:
        split = lineage["split"]
        parts = {part: files_of(held, days, table_version) for part, days in split.items()}
        recipe.train(
            {part: parts[part] for part in FITTED}, scratch, settings.memory_limit, progress
        )
        results: list[Difference] = []
        for role in recipe.names:
            results += _files(found, role, registry.folder(found.version, role), scratch / role)
            if role in recorded:
                figures = _evaluated(scratch / role, parts["evaluation"], lineage)
                results += of_figures(role, recorded[role], figures)
    return Reproduction(found.version, True, exact, bool(recorded), causes, results)


def _device(recorded: str) -> str:
    """The recorded device, or the CPU where that is not there."""
    try:
        return choose_device(recorded).type
    except SettingsError:
        return "cpu"


def _around(lineage: Mapping[str, Any], device: str) -> Iterator[Difference]:
    """Code, packages, machine and device."""
    if lineage["code"] != code_version():
        yield Difference("code", "exit_pipeline", lineage["code"], code_version())
    yield from values("packages", "", lineage["packages"], package_versions())
    yield from values("instruction set", "", lineage["machine"], machine(device))
    if lineage["device"] != device:
        yield Difference("device", "", lineage["device"], device)


def _processes(registry: Registry, version: int, recipe: Recipe) -> Iterator[Difference]:
    """What went on from a checkpoint with more or fewer processes is repeated with one number."""
    for role in recipe.names:
        told = json.loads((registry.folder(version, role) / DESCRIPTION).read_text("utf-8"))
        found = sorted({epoch["workers"] for epoch in told["history"]})
        if found != [recipe.workers]:
            yield Difference("processes", role, found, recipe.workers)


def _profile(lineage: Mapping[str, Any], profile: Profile) -> Iterator[Difference]:
    """Today's profile is not trained by; that it differs explains why a new version would."""
    if lineage["profile_hash"] == profile.hash:
        return
    keys = [*values("profile", "", *map(_makes, (lineage["profile_text"], profile.text)))]
    whole = Difference("profile", "adapters or defaults", lineage["profile_hash"], profile.hash)
    yield from keys or [whole]


def _makes(text: str) -> dict[str, Any]:
    """The settings in a profile's text that tables and models are made of, JSON-able."""
    told = {key: value for key, value in yaml.safe_load(text).items() if key not in MAKE_NOTHING}
    return json.loads(json.dumps(told, default=str))


def _files(version: Version, role: str, registered: Path, made: Path) -> Iterator[Difference]:
    """Compares a role's files with those just made, and the registered ones with the lineage."""
    recorded = version.lineage["sha256"][role]
    old, new = ((folder / WEIGHTS).read_bytes() for folder in (registered, made))
    told, now = (
        json.loads((folder / DESCRIPTION).read_text("utf-8")) for folder in (registered, made)
    )
    stored = hashlib.sha256(old).hexdigest()
    if stored != recorded:
        yield Difference("registered file", role, recorded, stored)
        # What the tensors differ from below is not what was recorded.
        if now["sha256"] != recorded:
            yield Difference("weights", role, recorded, now["sha256"])
    yield from tensors(role, old, new)
    for part in ("encoder", "calibration", "history"):
        yield from values(part, role, told[part], now[part])


def _evaluated(folder: Path, files: list[str], lineage: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a model just made, with the segments of the recorded profile."""
    scorer, segment = Scorer.load(folder), yaml.safe_load(lineage["profile_text"]).get("segment")
    rows = read_rows(files, [scorer.model], [segment] if segment else [])
    return evaluate(scorer, rows, segment).to_dict()
