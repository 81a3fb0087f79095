"""EXIT fitted once and scored in several ways: under a policy, or as it was before calibration."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exit_pipeline.errors import UsageError
from exit_pipeline.experiments.contenders import CONTENDERS, Fitted, FittedNetwork, Task
from exit_pipeline.files import write_text
from exit_pipeline.lock import exclusive
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training.artifact import TrainedModel, load_model, save_model
from exit_pipeline.training.calibrate import Calibration

EXIT = "exit"
LOCK_SECONDS = 6 * 3600.0
SECONDS = "seconds.json"


@dataclass(frozen=True)
class Scoring:
    """What is done to a network after it was fitted.

    Args:
        policy: Rules that govern it.
        calibrated: Whether scores are calibrated.
    """

    policy: tuple[RuleSpec, ...] = ()
    calibrated: bool = True

    def __call__(self, model: TrainedModel) -> FittedNetwork:
        """Makes a contender of a network that was fitted."""
        if not self.calibrated:
            model = replace(model, calibration=Calibration("platt"))  # slope 1, bias 0
        return FittedNetwork(Scorer(model, self.policy), model.history)

    def to_dict(self) -> Mapping[str, Any]:
        """JSON-able values."""
        rules = [rule.model_dump(mode="json") for rule in self.policy]
        return {"policy": rules, "calibrated": self.calibrated}


AS_FITTED = Scoring()


def fit(model: str, task: Task, scoring: Scoring, kept: Path) -> tuple[Fitted, float]:
    """Fits a contender; EXIT is kept, and read where it stands.

    Args:
        model: A name of `CONTENDERS`.
        task: What to fit it to.
        scoring: What is done to it then.
        kept: The network's folder; its name says what it was fitted to.

    Returns:
        The contender, and what fitting it took in seconds.
    """
    started = time.perf_counter()
    if model != EXIT:
        return CONTENDERS[model](task), time.perf_counter() - started
    refusal = UsageError("another process has long been fitting this network", where=str(kept))
    with exclusive(kept.with_suffix(".lock"), LOCK_SECONDS, refusal):
        if not (kept / SECONDS).exists():
            fitted = CONTENDERS[model](task)
            assert isinstance(fitted, FittedNetwork)
            seconds = time.perf_counter() - started
            save_model(fitted.scorer.model, kept)
            write_text(kept / SECONDS, json.dumps(seconds))
    return scoring(load_model(kept)), json.loads((kept / SECONDS).read_text("utf-8"))
