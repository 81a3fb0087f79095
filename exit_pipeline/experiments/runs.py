"""Entries of a comparison, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from exit_pipeline.errors import UsageError
from exit_pipeline.experiments.contenders import CONTENDERS
from exit_pipeline.experiments.networks import AS_FITTED, EXIT, Scoring
from exit_pipeline.experiments.oracle import ORACLE
from exit_pipeline.experiments.specs import RowsSpec, WorldSpec


@dataclass(frozen=True)
class Entry:
    """A model on a world.

    Args:
        label: Its name in tables.
        model: A name of `CONTENDERS`.
        world: Where.
        settings: Dotted keys under `model`, `training` and `trees` that differ from the profile.
        seed: Of weights, batches and trees.
        rows: Which rows training has.
        without: Input columns that it may not read.
        x: Where it stands on a study's axis.
        tuned: Whether it starts from what tuning found.
        scoring: What is done to it after fitting; entries that differ in it alone share a fit.
    """

    label: str
    model: str
    world: WorldSpec
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    rows: RowsSpec = field(default_factory=RowsSpec)
    without: tuple[str, ...] = ()
    x: str = ""
    tuned: bool = True
    scoring: Scoring = AS_FITTED

    def __post_init__(self) -> None:
        known = (*CONTENDERS, ORACLE)
        if self.model not in known:
            raise UsageError(
                f"there is no contender {self.model!r}", mend=f"one of {', '.join(known)}"
            )
        if self.scoring != AS_FITTED and self.model != EXIT:
            raise UsageError(f"{self.model!r} is scored as it was fitted", mend=f"name {EXIT!r}")


@dataclass(frozen=True)
class Run:
    """What became of an entry.

    Args:
        entry: Which.
        folder: Holds scores and figures.
    """

    entry: Entry
    folder: Path

    @cached_property
    def figures(self) -> dict[str, Any]:
        """`evaluation` by slice, `validation`, `seconds`, `history`."""
        return json.loads((self.folder / "figures.json").read_text("utf-8"))

    @cached_property
    def draws(self) -> dict[str, np.ndarray]:
        """AUC and logloss by slice in each draw of users; see `measures.draws`."""
        with np.load(self.folder / "draws.npz") as held:
            return dict(held)

    def rows(self, where: str) -> str:
        """Names the rows of a slice; see `measures.Rows.fingerprint`."""
        return self.figures["evaluation"][where]["fingerprint"]

    @cached_property
    def earned(self) -> dict[str, np.ndarray]:
        """What the simulator answers: measure → float64[users]; empty on real data."""
        file = self.folder / "earned.npz"
        if not file.exists():
            return {}
        with np.load(file) as held:
            return dict(held)
