"""What tuning may change, by contender: one small table, the same budget for everyone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exit_pipeline.experiments.contenders import CONTENDERS
from exit_pipeline.model import MODELS

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Between:
    """A number between two others; by its logarithm where those lie far apart."""

    low: float
    high: float
    log: bool = False

    def draw(self, trial: BaseTrial, key: str) -> int | float:
        """Asks a trial for a value; whole where both ends are."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def draw(self, trial: BaseTrial, key: str) -> Any:
        """Asks a trial for a value, by its place: storage keeps plain numbers."""
        return self.values[trial.suggest_int(key, 0, len(self.values) - 1)]


Space = Mapping[str, Between | OneOf]

NETWORK: Space = {
    "training.learning_rate": Between(2e-3, 2e-2, log=True),
    "training.weight_decay": Between(1e-4, 1e-1, log=True),
    "model.dropout": Between(0.0, 0.2),
    "model.id_dropout": OneOf((0.5, 0.8, 1.0)),
    "model.embedding_dim": OneOf((4, 8, 16)),
    "model.bins": OneOf((16, 24, 32)),
}
TREES: Space = {
    "trees.learning_rate": Between(0.02, 0.15, log=True),
    "trees.leaves": Between(8, 128, log=True),
    "trees.min_rows": Between(20, 500, log=True),
    "trees.columns": Between(0.4, 1.0),
    "trees.rows": Between(0.5, 1.0),
    "trees.l2": Between(0.1, 30.0, log=True),
}
SOURCES: Space = {"training.lambda_source": Between(0.03, 3.0, log=True)}
TRANSFER: Space = {
    "training.lambda_transfer": Between(0.03, 1.0, log=True),
}
WITH_SOURCE_HEADS = ("shared_bottom", "mmoe", "ple", "pepnet", "minet")
SPACES: Mapping[str, Space] = {
    **dict.fromkeys(MODELS, NETWORK),
    **{name: {**NETWORK, **SOURCES} for name in WITH_SOURCE_HEADS},
    "exit": {**NETWORK, **SOURCES, **TRANSFER},
    "trees": TREES,
}
TUNED = tuple(name for name in CONTENDERS if name in SPACES)
