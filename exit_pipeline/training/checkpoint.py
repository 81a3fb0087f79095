"""Where an interrupted training goes on: all that its next epoch depends on, kept after each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from exit_pipeline.training.step import Stepper

FORMAT = 1
TENSORS, DESCRIPTION = "state.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds the state after the last epoch, or nothing yet.

    Args:
        folder: Replaced whole at each epoch.
        key: Names what the training is made from; a state of another key is not taken up.
    """

    folder: Path
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
        description = {
            "format": FORMAT, "key": self.key, "epochs": epochs,
            "scaler": stepper.scaler.state_dict(),
        }  # fmt: skip
        partial = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        # Weights may be of one memory, which the format does not allow.
        copied = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        save_file(copied, partial / TENSORS)
        (partial / DESCRIPTION).write_text(json.dumps(description), "utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.replace(partial, self.folder)

    def load(self, stepper: Stepper) -> tuple[list[dict[str, Any]], dict[str, Tensor]] | None:
        """Puts all back as it was; on a CPU, what follows is the same to the bit.

        Returns:
            The history and the best weights; None, and nothing is changed, where there is no state
            of this key or it cannot be read.
        """
        try:
            description = json.loads((self.folder / DESCRIPTION).read_text("utf-8"))
            if (description["format"], description["key"]) != (FORMAT, self.key):
                return None
            tensors = load_file(self.folder / TENSORS)
        except (OSError, ValueError, KeyError, SafetensorError):
            return None
        stepper.model.load_state_dict(_part(tensors, "model"))
        for name, optimizer in stepper.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _part(tensors, name).items():
                number, part = key.split(".")
                state.setdefault(int(number), {})[part] = tensor
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        if description["scaler"]:
            stepper.scaler.load_state_dict(description["scaler"])
        torch.set_rng_state(tensors["random"])
        return description["epochs"], _part(tensors, "best")


def _part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """What begins with a name; copied, since a file's tensors are not aligned as fresh ones are."""
    begin = f"{name}."
    return {k.removeprefix(begin): t.clone() for k, t in tensors.items() if k.startswith(begin)}
