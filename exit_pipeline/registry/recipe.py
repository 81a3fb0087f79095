"""What training takes beside rows: written into the lineage, and all that a repetition reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from exit_pipeline.errors import RegistryError
from exit_pipeline.features import input_spec, unit_input
from exit_pipeline.model import InputSpec
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training import save_model, train_model
from exit_pipeline.training.device import choose_device
from exit_pipeline.training.loop import Progress
from exit_pipeline.training.step import uses_bf16

NAMES = {"model": "exit", "baseline": "target_only"}


@dataclass(frozen=True)
class Recipe:
    """How a version is trained, every default resolved.

    Args:
        names: By role, `model` and `baseline`, a name of `MODELS`.
        inputs: The columns that may be read.
        unit: The column that holds the interest unit.
        outcome: What y counts.
        model: Form and size.
        training: The loop.
        threads: Of DuckDB and torch.
        device: `cpu`, `cuda` or `mps`.
        workers: Processes that fit a model together.
    """

    names: Mapping[str, str]
    inputs: InputSpec
    unit: str
    outcome: str
    model: ModelSpec
    training: TrainingSpec
    threads: int
    device: str
    workers: int = 1

    @classmethod
    def of(cls, spec: ProfileSpec, threads: int, device: str, workers: int = 1) -> Self:
        """What a profile asks for.

        Raises:
            SettingsError: The device is not there.
        """
        where = choose_device(device)
        # `auto` means another thing on another processor: what it meant here is what is kept.
        precision = "bf16" if uses_bf16(spec.training.precision, where) else "fp32"
        training = spec.training.model_copy(update={"precision": precision})
        return cls(
            NAMES, input_spec(spec), unit_input(spec), spec.outcome,
            spec.model, training, threads, where.type, workers,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Its part of a lineage, JSON-able."""
        recipe = {
            "names": dict(self.names),
            "inputs": self.inputs.to_dict(),
            "unit": self.unit,
            "outcome": self.outcome,
            "model": self.model.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
        }
        return {
            "recipe": recipe,
            "threads": self.threads,
            "device": self.device,
            "workers": self.workers,
        }

    @classmethod
    def read(cls, lineage: Mapping[str, Any], device: str) -> Self:
        """Reads what `to_dict` returned.

        Args:
            lineage: Of a version.
            device: To train on.

        Raises:
            RegistryError: Its settings are not those that this code knows.
        """
        try:
            told = lineage["recipe"]
            return cls(
                told["names"], InputSpec.from_dict(told["inputs"]), told["unit"], told["outcome"],
                ModelSpec(**told["model"]), TrainingSpec(**told["training"]),
                lineage["threads"], device, lineage["workers"],
            )  # fmt: skip
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise RegistryError(
                f"this code does not know the recorded settings: {'; '.join(problems)}",
                where="the version's lineage",
                mend=f"use the code that it was trained with, {lineage['code'][:20]}",
            ) from error

    def train(
        self,
        parts: Mapping[str, Sequence[str]],
        folder: Path,
        memory_limit: str,
        progress: Progress = lambda done, total, text: None,
        checkpoints: Path | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Trains every role and writes its files to a folder of its own.

        Args:
            parts: `train`, `validation` and `calibration`, each a list of Parquet files.
            folder: Gets a folder per role, and encoded rows meanwhile.
            memory_limit: Of DuckDB.
            progress: See `train_model`.
            checkpoints: See `train_model`.

        Returns:
            What `save_model` says of each role.

        Raises:
            TrainingError: No rows, one class only, or the loss went wrong.
        """
        described = {}
        for role, name in self.names.items():
            model = train_model(
                name, self.inputs, parts, self.unit, self.model, self.training,
                scratch=folder / "rows", outcome=self.outcome, device=self.device,
                threads=self.threads, workers=self.workers, memory_limit=memory_limit,
                progress=progress, checkpoints=checkpoints,
            )  # fmt: skip
            described[role] = save_model(model, folder / role)
        return described
