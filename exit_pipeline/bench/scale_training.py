"""An epoch of training in one process, in two together, and in two that know nothing of each other.

What two that are apart reach is all that the machine has for two: its cores may share units, caches
and memory.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import LIMIT, end, start
from exit_pipeline.bench.measure import told as told_by
from exit_pipeline.bench.training import BATCH, CPU, TABLE_ROWS, TOWERS
from exit_pipeline.bench.training_data import exit_encoder, read, towers_encoder, write
from exit_pipeline.model import MODELS
from exit_pipeline.model.base import Model
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training.device import reproducible
from exit_pipeline.training.loop import SCORE_ROWS, TOLD_STEPS, fit
from exit_pipeline.training.rows import EncodedRows
from exit_pipeline.training.together import fit_together
from exit_pipeline.training.worker import Job

HERE = "exit_pipeline.bench.scale_training"


def prepare_rows(folder: Path, name: str, rows: int) -> None:
    """Writes rows to train on, and an eighth as many to validate on."""
    encoder = _job(name).encoder
    write(folder, "train", rows, encoder)
    write(folder, "validation", rows // 8, encoder)


def alone(folder: str, name: str) -> dict[str, Any]:
    """One process with one thread."""
    job, clock = _job(name), Clock()
    model, train, validation = _begin(Path(folder), job)
    with reproducible(job.training.seed, job.threads):
        fit(model, train, validation, job.model, job.training, CPU, clock)
    return clock.told(job)


def together(folder: str, name: str) -> dict[str, Any]:
    """Two processes with one thread each that train one model."""
    job, clock = _job(name), Clock()
    model, _, _ = _begin(Path(folder), job)
    fit_together(job, model, Path(folder), 2, clock)
    return clock.told(job)


def apart(folder: str, name: str) -> dict[str, Any]:
    """Two of one thread each at the same time, each with a model of its own."""
    both = [start(f"{HERE}:alone", {"folder": folder, "name": name}) for _ in range(2)]
    try:
        first, second = [told_by(process, LIMIT) for process in both]
    finally:
        for process in both:
            end(process)
    return {
        "rows": first["rows"] + second["rows"],
        "wall_s": max(first["wall_s"], second["wall_s"]),
    }


class Clock:
    """When which step of the epoch was done, as the loop tells it: one in `TOLD_STEPS`."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int, text: str) -> None:
        """Called as the loop's progress is."""
        if done < total:  # the last call is after validation
            self.marks.append((time.perf_counter(), done))

    def told(self, job: Job) -> dict[str, Any]:
        """Rows between the first and the last of these steps, and the seconds.

        Raises:
            ValueError: The epoch has one of them alone.
        """
        if len(self.marks) < 2:
            raise ValueError(f"too few rows: an epoch takes more than {TOLD_STEPS} steps")
        (began, first), (ended, last) = self.marks[0], self.marks[-1]
        return {
            "rows": (last - first) * job.training.batch_size,
            "wall_s": round(ended - began, 3),
        }


def _job(name: str) -> Job:
    """The reference configuration, or the default model on batches as large."""
    spec = TrainingSpec(batch_size=BATCH, epochs=1)
    if name == "exit":
        return Job(name, exit_encoder(), ModelSpec(), spec, "cpu", 1, None)
    spec = spec.model_copy(update={"precision": "fp32", "table_rows": TABLE_ROWS})
    return Job(name, towers_encoder(), TOWERS, spec, "cpu", 1, None)


def _begin(folder: Path, job: Job) -> tuple[Model, EncodedRows, EncodedRows]:
    k = len(job.encoder.spec.sources)
    train, validation = (read(folder, part, k) for part in ("train", "validation"))
    model = MODELS[job.name](job.encoder, job.model)
    model.survey(train.batches(SCORE_ROWS))
    return model, train, validation
