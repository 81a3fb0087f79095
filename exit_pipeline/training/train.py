"""Trains one model from files: encoders, the loop, calibration."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import torch
from torch import nn

from exit_pipeline.lake.duck import open_duckdb
from exit_pipeline.model import MODELS, Encoder, InputSpec
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training.artifact import TrainedModel
from exit_pipeline.training.calibrate import Calibration, calibrate
from exit_pipeline.training.checkpoint import Checkpoint
from exit_pipeline.training.device import choose_device, instructions, reproducible
from exit_pipeline.training.loop import SCORE_ROWS, Progress, fit, predict
from exit_pipeline.training.memorized import memorized
from exit_pipeline.training.rows import EncodedRows, encode_files
from exit_pipeline.training.together import check_workers, fit_together
from exit_pipeline.training.worker import Job


def train_model(
    name: str,
    inputs: InputSpec,
    parts: Mapping[str, Sequence[str]],
    unit: str,
    model_spec: ModelSpec,
    training: TrainingSpec,
    *,
    scratch: Path,
    checkpoints: Path | None = None,
    outcome: str = "either",
    device: str = "cpu",
    threads: int = 1,
    workers: int = 1,
    memory_limit: str = "4GB",
    progress: Progress = lambda done, total, text: None,
) -> TrainedModel:
    """Trains a model and calibrates it; on a CPU the same inputs give the same bytes.

    Args:
        name: A name of `MODELS`.
        inputs: The columns it may read.
        parts: `train`, `validation` and `calibration`, each a list of Parquet files.
        unit: The column that holds the interest unit.
        model_spec: Form and size.
        training: The loop.
        scratch: Where encoded rows are kept meanwhile.
        checkpoints: Where the last epoch is kept, under the model's name; a training of the same
            rows and settings that was interrupted goes on from there, to the same weights.
        outcome: What y counts: `click`, `order` or `either`.
        device: `cpu`, `cuda`, `mps` or `auto`.
        threads: Of DuckDB, and of torch on a CPU.
        workers: Processes that fit the model, with these threads between them.
        memory_limit: Of DuckDB; what is beyond it spills to `scratch`.
        progress: Called with batches done, batches in all, and a line of text.

    Raises:
        TrainingError: No rows, one class only, or the loss went wrong.
        SettingsError: The device is not there, or it or the model not for so many processes.
    """
    builder, where = MODELS[name], choose_device(device)
    if workers > 1:
        check_workers(builder, workers, where.type, training.batch_size)
    inputs = inputs if builder.reads_sources else inputs.without_sources()
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        open_duckdb(memory_limit, threads, Path(folder)) as duck,
        reproducible(training.seed, threads),
    ):
        encoder = Encoder.fit(
            duck, parts["train"], inputs, unit, model_spec.min_id_count, model_spec.bins
        )
        rows = {
            part: encode_files(duck, files, encoder, model_spec.source_label, Path(folder), part)
            for part, files in parts.items()
        }
        model = builder(encoder, model_spec)
        model.survey(rows["train"].batches(SCORE_ROWS))
        key = _key(
            inputs.to_dict(), parts, unit, model_spec, training, outcome, where.type, threads
        )
        kept = Checkpoint(checkpoints / f"{name}.safetensors", key) if checkpoints else None
        train, validation = rows["train"], rows["validation"]
        if workers == 1:
            history = fit(model, train, validation, model_spec, training, where, progress, kept)
        else:
            each = max(threads // workers, 1)
            job = Job(name, encoder, model_spec, training, where.type, each, kept)
            history = fit_together(job, model, Path(folder), workers, progress)
        calibration = _calibrated(model, rows["calibration"], training.calibration, where)
        by_heart = memorized(model, rows, encoder, calibration, where)
    epochs = [epoch.to_dict() for epoch in history]
    return TrainedModel(
        name, model.to("cpu"), encoder, model_spec, calibration, epochs, outcome, by_heart
    )


def _calibrated(model: nn.Module, rows: EncodedRows, kind: str, where: torch.device) -> Calibration:
    found = predict(model, rows, where)
    return calibrate(found["logit"].double().numpy(), found["y"].double().numpy(), kind)


def _key(*made_from: Any) -> str:
    """SHA-256 of what a training is made from; a file of rows is never written twice."""
    place = [torch.__version__, np.__version__, duckdb.__version__, instructions()]
    text = json.dumps([place, *made_from], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: ModelSpec | TrainingSpec) -> dict[str, Any]:
    return value.model_dump(mode="json")
