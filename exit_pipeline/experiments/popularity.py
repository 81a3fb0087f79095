"""The baseline that knows no user: an item's smoothed rate as of the day before, calibrated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exit_pipeline.training.calibrate import Calibration, calibrate

if TYPE_CHECKING:
    from exit_pipeline.experiments.contenders import Task

COLUMNS = ["item_rate", "y"]
EDGE = 1e-4


@dataclass(frozen=True)
class Popularity:
    """An item's rate, from training's features; an unknown item has the rate of all."""

    rate: float
    calibration: Calibration
    history: list[dict[str, Any]] = field(default_factory=list)

    def score(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """See `Fitted.score`."""
        return {"score": 1 / (1 + np.exp(-self.calibration(_logit(rows, self.rate))))}


def fit_popularity(task: Task) -> Popularity:
    """Reads the rate of all from training rows, and calibrates on the calibration part."""
    train, calibration = (
        pa.concat_tables([pq.read_table(file, columns=COLUMNS) for file in task.parts[part]])
        for part in ("train", "calibration")
    )
    rate = pc.mean(train["y"]).as_py()
    y = np.asarray(calibration["y"]).astype(float)
    return Popularity(rate, calibrate(_logit(calibration, rate), y, task.training.calibration))


def _logit(rows: pa.Table, rate: float) -> np.ndarray:
    p = np.asarray(pc.fill_null(rows["item_rate"], rate)).clip(EDGE, 1 - EDGE)
    return np.log(p / (1 - p))
