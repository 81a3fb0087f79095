"""Trains a model in several processes, which `torchrun` starts, watches and starts again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from exit_pipeline.errors import SettingsError, TrainingError
from exit_pipeline.model.base import Model
from exit_pipeline.training.history import Epoch
from exit_pipeline.training.loop import Progress
from exit_pipeline.training.worker import ERROR, HISTORY, START, TOLD, WEIGHTS, Job

# How often processes may die before the training does; each time it goes on from its last epoch.
RESTARTS = 3
LOG, TOLD_LINES = "workers.log", 15


def fit_together(
    job: Job, model: Model, folder: Path, workers: int, progress: Progress
) -> list[Epoch]:
    """Does what `fit` does, in processes that each read their share of every epoch's rows.

    Steps are as many as in one process, and as many rows make one, so that settings keep their
    meaning. The weights differ by rounding, by what is drawn at random, and by those terms of the
    loss that are means over some rows of a batch. The same number of processes gives the same ones.

    Args:
        job: What to train.
        model: Changed in place; ends with the weights of its best epoch, on the job's device.
        folder: Holds the rows that `encode_files` wrote; the processes leave there what they find.
        workers: How many.
        progress: See `fit`.

    Returns:
        The history, an entry per epoch.

    Raises:
        TrainingError: The loss went wrong, or processes died too often.
    """
    save_file(model.state_dict(), folder / START)
    job.write(folder)
    code = _run(folder, workers, job.threads, progress)
    if (error := folder / ERROR).exists():
        raise TrainingError.read(error.read_text("utf-8"))
    if code:
        last = (folder / LOG).read_text("utf-8", "replace").splitlines()[-TOLD_LINES:]
        raise TrainingError(
            "\n".join([f"training in {workers} processes ended with code {code}:", *last]),
            where="EXIT_WORKERS", mend="run again, which goes on from the last epoch; or set 1",
        )  # fmt: skip
    model.load_state_dict(load_file(folder / WEIGHTS))
    model.to(job.device).eval()  # what follows a training scores there
    told = json.loads((folder / HISTORY).read_text("utf-8"))
    return [Epoch.from_dict(values) for values in told]


def check_workers(model: type[Model], workers: int, device: str, batch_size: int) -> None:
    """Raises SettingsError where processes would have no row of a batch, or the same GPU.

    So it does for a model that they cannot train together.
    """
    if not model.trains_together:
        raise SettingsError(
            f"{model.__name__} keeps statistics of rows, and {workers} processes see other ones",
            where="EXIT_WORKERS", mend="set it to 1",
        )  # fmt: skip
    places = {"cpu": workers, "cuda": torch.cuda.device_count()}.get(device, 1)
    if workers > places:
        raise SettingsError(
            f"{workers} processes cannot train on {places} {device} device(s)",
            where="EXIT_WORKERS", mend=f"set it to {places}, or EXIT_DEVICE to cpu",
        )  # fmt: skip
    if workers > batch_size:
        raise SettingsError(
            f"a batch of {batch_size} rows has none for each of {workers} processes",
            where="EXIT_WORKERS", mend="set it lower, or training.batch_size higher",
        )  # fmt: skip


def _run(folder: Path, workers: int, threads: int, progress: Progress) -> int:
    """Starts `torchrun` on this machine and passes on what the first process tells."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={workers}", f"--max-restarts={RESTARTS}",
        "-m", "exit_pipeline.training.worker", str(folder),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with (
        (folder / LOG).open("ab", buffering=0) as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(TOLD):
                    progress(*json.loads(line.removeprefix(TOLD)))
                else:
                    log.write(line.encode())
        finally:
            process.terminate()  # `torchrun` ends its processes; where it has ended, nothing
    return process.returncode
