"""Where an interrupted training goes on: all that its next epoch depends on, kept after each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from exit_pipeline.files import beside
from exit_pipeline.training.step import Stepper

# The key of the file's own metadata under which the rest stands; another form has another name.
FORMAT = "checkpoint-1"
KEPT_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds the state after the last epoch, or is not there yet.

    Args:
        file: Replaced whole at each epoch.
        key: Names what the training is made from; a state of another key is not taken up.
    """

    file: Path
    key: str

    def save(
        self, stepper: Stepper, best: Mapping[str, Tensor], epochs: list[dict[str, Any]]
    ) -> None:
        """Writes weights, best weights, optimizers, random numbers and history."""
        tensors = {f"model.{name}": tensor for name, tensor in stepper.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
        for name, optimizer in stepper.optimizers.items():
            for number, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{number}.{part}": t for part, t in state.items()}
        tensors["random"] = torch.get_rng_state()
        told = {"key": self.key, "epochs": epochs, "scaler": stepper.scaler.state_dict()}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = beside(self.file)
        here = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(here, partial, {FORMAT: json.dumps(told)})
        os.replace(partial, self.file)

    def load(self, stepper: Stepper) -> tuple[list[dict[str, Any]], dict[str, Tensor]] | None:
        """Puts all back as it was; on a CPU, what follows is the same to the bit.

        Returns:
            The history and the best weights; None, and nothing is changed, where there is no state
            of this key or it cannot be read.
        """
        try:
            with safe_open(self.file, "pt") as file:
                told = json.loads((file.metadata() or {})[FORMAT])
                if told["key"] != self.key:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, KeyError, SafetensorError):
            return None
        stepper.model.load_state_dict(_part(tensors, "model"))
        for name, optimizer in stepper.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _part(tensors, name).items():
                number, part = key.split(".")
                state.setdefault(int(number), {})[part] = tensor
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        if told["scaler"]:
            stepper.scaler.load_state_dict(told["scaler"])
        torch.set_rng_state(tensors["random"])
        return told["epochs"], _part(tensors, "best")


def folder_for(root: Path, made_from: Any) -> Path:
    """Returns the folder of a training's checkpoints; another training may go on beside it.

    What nobody has gone on with for a week is removed.

    Args:
        root: Holds a folder for each training.
        made_from: All that decides the training, JSON-able.
    """
    for folder in root.glob("*"):
        if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    told = json.dumps(made_from, sort_keys=True)
    return root / hashlib.sha256(told.encode()).hexdigest()[:16]


def _part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """What begins with a name; copied, since a file's tensors are not aligned as fresh ones are."""
    begin = f"{name}."
    return {k.removeprefix(begin): t.clone() for k, t in tensors.items() if k.startswith(begin)}
