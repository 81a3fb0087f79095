"""What a version was made from: rows, split, code, settings; and whether it is still there."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import torch

import exit_pipeline
from exit_pipeline.errors import RegistryError
from exit_pipeline.lake import DayState, Lake
from exit_pipeline.lake.paths import hive_value
from exit_pipeline.profile import Profile
from exit_pipeline.registry.recipe import Recipe
from exit_pipeline.registry.version import Version
from exit_pipeline.training import Split
from exit_pipeline.training.device import instructions

PACKAGES = ("torch", "tabm", "numpy", "duckdb", "deltalake", "feast", "pyarrow", "safetensors")
TABLE = "training_set"
DELETED = "deleted"
FITTED = ("train", "validation", "calibration")


def describe(
    recipe: Recipe,
    lake: Lake,
    profile: Profile,
    split: Split,
    table_version: int,
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    """Everything that it takes to make a version again.

    Args:
        recipe: What it was trained by.
        lake: Where the rows are.
        profile: With the text that it was read from.
        split: The days of each part.
        table_version: Of the training set.
        hashes: SHA-256 of the weights, by role.
    """
    commit = _commits(lake, table_version)[0]
    states = stored_days(lake, table_version)
    used = {str(d): states[d].hash for part in split.days().values() for d in part}
    return {
        "model": "exit",
        "sha256": dict(hashes),
        "tables": {TABLE: table_version, **json.loads(commit.get("inputs", "{}"))},
        "days": used,
        "training_set_hash": _digest(json.dumps(used, sort_keys=True)),
        "split": split.to_dict(),
        "code": code_version(),
        "profile": profile.name,
        "profile_hash": profile.hash,
        "profile_text": profile.text,
        "seed": recipe.training.seed,
        **recipe.to_dict(),
        "packages": package_versions(),
        "machine": machine(recipe.device),
    }


def stored_days(lake: Lake, table_version: int) -> dict[date, DayState]:
    """Returns the state of the training set's days as they stood at a version of it."""
    states: dict[date, DayState] = {}
    for commit in _commits(lake, table_version):
        for day, (rows, content) in json.loads(commit.get("days", "{}")).items():
            states.setdefault(date.fromisoformat(day), DayState(rows, content))
    return states


def files_of(lake: Lake, days: Sequence[str], table_version: int) -> list[str]:
    """Returns the files of a part of the split.

    Args:
        lake: Where the training set is.
        days: First and last day, as in a lineage's split.
        table_version: Of the training set.
    """
    first, last = (date.fromisoformat(day) for day in days)
    return lake.files(TABLE, [("ds", ">=", first), ("ds", "<=", last)], table_version)


def other_days(lake: Lake, lineage: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Returns the days of which a lake's log tells another content than a lineage.

    Returns:
        The content's hash in the lineage and in the lake (None: no such day; `deleted`: rows of it
        were, as a person was forgotten), by day.
    """
    table_version = lineage["tables"][TABLE]
    if table_version > lake.version(TABLE):
        return {day: (content, None) for day, content in lineage["days"].items()}
    states = {str(day): state.hash for day, state in stored_days(lake, table_version).items()}
    gone = (file for file in lake.files(TABLE, version=table_version) if not Path(file).exists())
    states |= {day: DELETED for file in gone if (day := hive_value(file, "ds"))}
    found = {day: (content, states.get(day)) for day, content in lineage["days"].items()}
    return {day: pair for day, pair in found.items() if pair[0] != pair[1]}


def check_rows(lake: Lake, version: Version) -> None:
    """Checks that the lake still holds the rows that a version was made from.

    Raises:
        RegistryError: It holds others under that table version, or none, or the version does not
            say which rows it was made from.
    """
    lineage = made_from(version)
    others = other_days(lake, lineage)
    if others:
        raise RegistryError(
            f"version {version.version} was made from other rows: {len(others)} days differ, "
            f"{next(iter(others))} first",
            where=f"{TABLE} at version {lineage['tables'][TABLE]}",
            mend="the table was forgotten and built again, which restarts its versions, or a "
            "person was forgotten: train a new version; only tables kept under lake.before-N can "
            "be put back",
        )


def seen_days(rival: Version, evaluation: tuple[str, str]) -> str:
    """Says which evaluation days a rival was fitted on, from training to calibration.

    Args:
        rival: Who would be compared.
        evaluation: First and last day, as in a lineage's split.

    Returns:
        A sentence, or nothing where the rival never saw those days.
    """
    split = made_from(rival)["split"]
    first, last = split[FITTED[0]][0], split[FITTED[-1]][-1]
    if last < evaluation[0] or first > evaluation[1]:
        return ""
    return (
        f"version {rival.version} was fitted on {first} … {last}, which reach into the "
        f"evaluation days {evaluation[0]} … {evaluation[1]}"
    )


def made_from(version: Version) -> dict[str, Any]:
    """Returns a version's lineage.

    Raises:
        RegistryError: It has none, as one that was put into MLflow by other means.
    """
    if "days" not in version.lineage:
        raise RegistryError(
            f"version {version.version} does not say which rows it was made from",
            where="its lineage",
            mend="it was registered by other means than this package: train a new one, and promote "
            "that with --force",
        )
    return version.lineage


def package_versions() -> dict[str, str]:
    """The installed versions of the packages that rows and weights go through."""
    return {name: package_version(name) for name in PACKAGES}


def machine(device: str) -> dict[str, str]:
    """Where numbers are made: another instruction set or accelerator rounds them otherwise."""
    found = {
        "architecture": platform.machine(),
        "instructions": instructions(),
    }
    if device == "cpu":
        return found
    return {**found, "accelerator": torch.cuda.get_device_name() if device == "cuda" else device}


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version and a SHA-256 over its Python and SQL files, by path."""
    root = Path(exit_pipeline.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(f for f in root.rglob("*") if f.suffix in (".py", ".sql")):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
        digest.update(_digest(file.read_text("utf-8")).encode())
    return f"{exit_pipeline.__version__}+{digest.hexdigest()}"


def _commits(lake: Lake, table_version: int) -> list[dict[str, Any]]:
    """The commits up to a version, newest first.

    Delta's history of a table opened at an older version names the newest commits by wrong numbers.
    """
    return [c for c in lake.open(TABLE).history() if c["version"] <= table_version]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
