"""The files of a trained model: safetensors and a JSON description, with hashes; no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import nn

from exit_pipeline.errors import ModelFileError
from exit_pipeline.files import beside
from exit_pipeline.model import MODELS, Encoder
from exit_pipeline.profile.learning import ModelSpec
from exit_pipeline.training.calibrate import Calibration
from exit_pipeline.training.memorized import Memorized

FORMAT = 6
WEIGHTS, DESCRIPTION = "model.safetensors", "description.json"


@dataclass(frozen=True)
class TrainedModel:
    """A model with what it takes to score rows and to say how it came about.

    Args:
        name: A name of `MODELS`.
        module: The network.
        encoder: What turns rows into its inputs.
        spec: Its form and size.
        calibration: From its logit to a calibrated one.
        history: An entry per epoch.
        outcome: What y counts: `click`, `order` or `either`.
        memorized: Whether thin groups were learned by heart; None where that cannot be told.
    """

    name: str
    module: nn.Module
    encoder: Encoder
    spec: ModelSpec
    calibration: Calibration
    history: list[dict[str, Any]]
    outcome: str = "either"
    memorized: Memorized | None = None

    def weights(self) -> bytes:
        """The weights in safetensors form; equal models have equal bytes."""
        state = self.module.state_dict()
        return save({name: tensor.contiguous().cpu() for name, tensor in sorted(state.items())})


def save_model(model: TrainedModel, folder: Path) -> dict[str, Any]:
    """Writes the model's folder, whole or not at all.

    Returns:
        The description that was written, `sha256` of the weights among it.
    """
    weights = model.weights()
    description = {
        "format": FORMAT,
        "model": model.name,
        "spec": model.spec.model_dump(mode="json"),
        "encoder": model.encoder.to_dict(),
        "calibration": model.calibration.to_dict(),
        "history": model.history,
        "outcome": model.outcome,
        "memorized": model.memorized and model.memorized.to_dict(),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    partial = beside(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / WEIGHTS).write_bytes(weights)
    (partial / DESCRIPTION).write_text(json.dumps(description, sort_keys=True), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return description


def load_model(folder: Path) -> TrainedModel:
    """Reads a model's folder; the weights' hash is checked before they are used.

    Raises:
        ModelFileError: A file is missing, of another format, or was changed.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        weights = (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"the model cannot be read: {error}", where=str(folder), mend="train or fetch it again"
        ) from error
    if description.get("format") != FORMAT or description.get("model") not in MODELS:
        raise ModelFileError(
            "the model's description is of another format",
            where=str(folder / DESCRIPTION),
            mend="use the version of this package that wrote it",
        )
    if hashlib.sha256(weights).hexdigest() != description["sha256"]:
        raise ModelFileError(
            "the weights are not those that the description names: their hash differs",
            where=str(folder / WEIGHTS),
            mend="fetch the model again; a changed file is never loaded",
        )
    encoder, spec = Encoder.from_dict(description["encoder"]), ModelSpec(**description["spec"])
    module = MODELS[description["model"]](encoder, spec)
    module.load_state_dict(load(weights))
    module.eval()
    by_heart = description["memorized"]
    return TrainedModel(
        description["model"], module, encoder, spec,
        Calibration(**description["calibration"]), description["history"],
        description["outcome"], by_heart and Memorized(**by_heart),
    )  # fmt: skip
