"""Gradient-boosted trees (LightGBM) on the features that the networks read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from exit_pipeline.lake.duck import open_duckdb
from exit_pipeline.model.embeddings import POSITION
from exit_pipeline.model.encoders import IDS, Encoder
from exit_pipeline.profile.learning import Strict
from exit_pipeline.training.calibrate import Calibration, calibrate
from exit_pipeline.training.rows import EncodedRows, encode_files

if TYPE_CHECKING:
    from lightgbm import Booster

    from exit_pipeline.experiments.contenders import Task


class TreeSpec(Strict):
    """Form and growth of the trees."""

    rounds: int = Field(
        5000, ge=1, description="At most this many trees: patience is to end it, not this."
    )
    patience: int = Field(40, ge=1, description="Trees without a better validation logloss.")
    learning_rate: float = Field(0.05, gt=0, description="Shrinkage of each tree.")
    leaves: int = Field(63, ge=2, description="Leaves of a tree.")
    min_rows: int = Field(100, ge=1, description="Least rows of a leaf.")
    columns: float = Field(0.8, gt=0, le=1, description="Share of columns that a tree may use.")
    rows: float = Field(0.8, gt=0, le=1, description="Share of rows that a tree is grown on.")
    l2: float = Field(1.0, ge=0, description="Penalty on leaf values.")


@dataclass(frozen=True)
class Trees:
    """Trees with what turns rows into their inputs."""

    booster: Booster
    encoder: Encoder
    columns: list[int]
    calibration: Calibration
    history: list[dict[str, Any]]

    def score(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """See `Fitted.score`."""
        categorical, numeric = self.encoder.encode(rows)
        logit = _logit(self.booster, _matrix(categorical, numeric, self.columns))
        return {"score": 1 / (1 + np.exp(-self.calibration(logit)))}


def fit_trees(task: Task) -> Trees:
    """Grows trees until validation logloss stops falling; unknown numbers stay unknown (NaN).

    Categories are encoded by the networks' encoder, so that both know the same values.
    """
    import lightgbm as lgb

    settings, spec = task.settings, task.trees
    # Networks are told no position when they score.
    inputs = task.inputs.without([name for name in task.inputs.columns if name == POSITION])
    task.scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=task.scratch) as folder,
        open_duckdb(settings.memory_limit, settings.threads, Path(folder)) as duck,
    ):
        encoder = Encoder.fit(
            duck, task.parts["train"], inputs, task.unit,
            task.model.min_id_count, task.model.bins,
        )  # fmt: skip
        names = encoder.spec.categorical
        columns = [i for i, name in enumerate(names) if name not in IDS]  # trees read no ids
        parts = {
            part: encode_files(duck, files, encoder, "ahead", Path(folder), part)
            for part, files in task.parts.items()
        }
        train, validation = (
            _dataset(parts[part], columns, task) for part in ("train", "validation")
        )
        curve: dict[str, Any] = {}
        booster = lgb.train(
            _parameters(task), train, spec.rounds, valid_sets=[validation],
            callbacks=[lgb.early_stopping(spec.patience, verbose=False),
                       lgb.record_evaluation(curve)],
        )  # fmt: skip
        held = parts["calibration"]
        logit = _logit(booster, _matrix(held.categorical, held.numeric, columns))
        y = held.labels[:, 0].astype(float)
    history = [{"trees": booster.best_iteration, **booster.best_score.get("valid_0", {})}]
    return Trees(booster, encoder, columns, calibrate(logit, y, task.training.calibration), history)


def _dataset(rows: EncodedRows, columns: list[int], task: Task) -> Any:
    import lightgbm as lgb

    return lgb.Dataset(
        _matrix(rows.categorical, rows.numeric, columns), np.ascontiguousarray(rows.labels[:, 0]),
        categorical_feature=list(range(len(columns))), params=_parameters(task),
    )  # fmt: skip


def _parameters(task: Task) -> dict[str, Any]:
    spec = task.trees
    return {
        "objective": "binary", "metric": "binary_logloss", "learning_rate": spec.learning_rate,
        "num_leaves": spec.leaves, "min_data_in_leaf": spec.min_rows,
        "feature_fraction": spec.columns, "bagging_fraction": spec.rows, "bagging_freq": 1,
        "lambda_l2": spec.l2, "seed": task.training.seed, "deterministic": True,
        "force_row_wise": True, "num_threads": task.settings.threads, "verbosity": -1,
    }  # fmt: skip


def _matrix(categorical: np.ndarray, numeric: np.ndarray, columns: list[int]) -> np.ndarray:
    return np.concatenate([categorical[:, columns].astype(np.float32), numeric], axis=1)


def _logit(booster: Booster, matrix: np.ndarray) -> np.ndarray:
    # The best round is LightGBM's own default after early stopping.
    return np.asarray(booster.predict(matrix, raw_score=True), dtype=np.float64)
