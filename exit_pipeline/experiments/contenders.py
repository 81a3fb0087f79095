"""Everyone who may be compared, behind one signature: a task in, something that scores rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from exit_pipeline.experiments.popularity import fit_popularity
from exit_pipeline.experiments.specs import RowsSpec
from exit_pipeline.experiments.trees import TreeSpec, fit_trees
from exit_pipeline.model import MODELS
from exit_pipeline.model.inputs import InputSpec
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.settings import Settings
from exit_pipeline.training import train_model


@dataclass(frozen=True)
class Task:
    """What a contender is fitted to.

    Args:
        inputs: The columns it may read.
        parts: The files of `train`, `validation` and `calibration`.
        unit: The column that holds the interest unit.
        outcome: What y counts.
        model: Form and size of a network.
        training: Its loop; the seed is every contender's.
        trees: Settings of gradient-boosted trees.
        settings: Threads and memory.
        scratch: A folder for what is needed meanwhile.
    """

    inputs: InputSpec
    parts: Mapping[str, Sequence[str]]
    unit: str
    outcome: str
    model: ModelSpec
    training: TrainingSpec
    trees: TreeSpec
    settings: Settings
    scratch: Path


class Fitted(Protocol):
    """A contender after fitting."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """An entry per epoch, or what there is to tell."""

    def score(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """`score` float64[n], calibrated; `transfer` float64[n, K] where it says so."""


@dataclass(frozen=True)
class FittedNetwork:
    """A trained network."""

    scorer: Scorer
    history: list[dict[str, Any]]

    def score(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """See `Fitted.score`."""
        found = self.scorer.score(rows)
        return {"score": found.score, "transfer": found.p_transfer}


def fit_network(name: str, task: Task) -> Fitted:
    """Trains a model of `MODELS`."""
    model = train_model(
        name, task.inputs, task.parts, task.unit, task.model, task.training,
        scratch=task.scratch, outcome=task.outcome, device=task.settings.device,
        threads=task.settings.threads, memory_limit=task.settings.memory_limit,
    )  # fmt: skip
    return FittedNetwork(Scorer(model), model.history)


# Experts of half the width or less, so that a fit costs about what the others' do.
SIZES: Mapping[str, Mapping[str, Any]] = {
    "mmoe": {"model.hidden": (64, 64)},
    "ple": {"model.hidden": (48, 48), "model.experts": 1},
}

CONTENDERS: Mapping[str, Callable[[Task], Fitted]] = {
    "popularity": fit_popularity,
    "trees": fit_trees,
    # `towers` is there to measure the speed of training by.
    **{name: partial(fit_network, name) for name in MODELS if name != "towers"},
}


def rows_for(name: str, rows: RowsSpec) -> RowsSpec:
    """The rows that a contender is fitted to: the sources' too where it tells domains apart."""
    reads_domains = name in MODELS and MODELS[name].reads_domains
    return replace(rows, kind="pooled") if reads_domains else rows
