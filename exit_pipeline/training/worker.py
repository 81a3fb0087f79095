"""One of the processes that train a model together; `torchrun` starts it with a job's folder."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from exit_pipeline.errors import TrainingError
from exit_pipeline.files import write_text
from exit_pipeline.model import MODELS, Encoder
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training.checkpoint import Checkpoint
from exit_pipeline.training.device import choose_device, reproducible
from exit_pipeline.training.loop import fit
from exit_pipeline.training.rows import EncodedRows
from exit_pipeline.training.team import Team

JOB, START, WEIGHTS, HISTORY, ERROR = (
    "job.json", "start.safetensors", "trained.safetensors", "history.json", "error.txt",
)  # fmt: skip

TOLD = "progress "  # begins what is ours: libraries print to the same pipe


@dataclass(frozen=True)
class Job:
    """What each process must know; rows and first weights lie beside it.

    Args:
        name: Of `MODELS`.
        encoder: What the model is made with.
        model: Form and size.
        training: The loop.
        device: `cpu` or `cuda`.
        threads: Of each process.
        checkpoint: Where all go on from if one of them dies; without one, from the start.
    """

    name: str
    encoder: Encoder
    model: ModelSpec
    training: TrainingSpec
    device: str
    threads: int
    checkpoint: Checkpoint | None

    def write(self, folder: Path) -> None:
        """Leaves it in a folder."""
        told = {
            "name": self.name,
            "encoder": self.encoder.to_dict(),
            "model": self.model.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "device": self.device,
            "threads": self.threads,
            "checkpoint": self.checkpoint
            and [str(self.checkpoint.file.absolute()), self.checkpoint.key],
        }
        write_text(folder / JOB, json.dumps(told))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads what `write` left."""
        told = json.loads((folder / JOB).read_text("utf-8"))
        kept = told["checkpoint"]
        return cls(
            told["name"], Encoder.from_dict(told["encoder"]), ModelSpec(**told["model"]),
            TrainingSpec(**told["training"]), told["device"], told["threads"],
            Checkpoint(Path(kept[0]), kept[1]) if kept else None,
        )  # fmt: skip


def work(folder: Path) -> None:
    """Trains with the others; the first of them leaves weights and history in the folder.

    What cannot be mended by starting again is left there as well, and those that `torchrun` starts
    after it end at once.
    """
    if (folder / ERROR).exists():
        return
    job = Job.read(folder)
    team = _join(choose_device(job.device))
    try:
        _train(folder, job, team)
    except TrainingError as error:
        write_text(folder / ERROR, str(error))
        raise  # the others wait for this process: its end is how `torchrun` learns of it
    distributed.destroy_process_group()


def _join(device: torch.device) -> Team:
    on_gpu = device.type == "cuda"
    store, rank, size = next(rendezvous("env://"))
    # `torchrun --standalone` keeps its store (torch 2.13): without a place of their own in it,
    # processes that it started again may find the addresses of those before them, and wait for the
    # dead: seen with gloo, where one was killed amid an epoch.
    mine = distributed.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    backend = "nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, store=mine, rank=rank, world_size=size)
    if on_gpu:
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    return Team(rank, size, device)


def _train(folder: Path, job: Job, team: Team) -> None:
    sources = len(job.encoder.spec.sources)
    train, validation = (EncodedRows.open(folder, p, sources) for p in ("train", "validation"))
    model = MODELS[job.name](job.encoder, job.model)
    model.load_state_dict(load_file(folder / START))
    progress = _tell if team.rank == 0 else _keep_quiet
    with reproducible(job.training.seed, job.threads):
        history = fit(
            model, train, validation, job.model, job.training, team.device, progress,
            job.checkpoint, team,
        )  # fmt: skip
    if team.rank == 0:
        save_file(model.to("cpu").state_dict(), folder / WEIGHTS)
        write_text(folder / HISTORY, json.dumps([epoch.to_dict() for epoch in history]))


def _tell(done: int, total: int, text: str) -> None:
    print(f"{TOLD}{json.dumps([done, total, text])}", flush=True)


def _keep_quiet(done: int, total: int, text: str) -> None:
    """One voice is enough."""


if __name__ == "__main__":
    work(Path(sys.argv[1]))
