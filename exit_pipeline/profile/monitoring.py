"""The part of a profile that says when what runs by itself acts."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from exit_pipeline.profile.learning import Strict


class MonitoringSpec(Strict):
    """When a landed day is read, a model is asked for, and a champion is taken back.

    The sensors ask; the gates still decide what becomes champion.
    """

    settle_seconds: float = Field(
        60, ge=0, description="A landing day is read once its files did not change for so long."
    )
    days: int = Field(5, ge=1, le=60, description="Newest mature days that the watch looks at.")
    max_psi: float = Field(
        0.2, gt=0, description="Population stability index over which a feature has drifted."
    )
    drifted_days: int = Field(
        2, ge=1, description="Of `days`, so many must have drifted, the newest among them."
    )
    min_positives: int = Field(
        100, ge=1, description="Positives below which nothing is said of the champion."
    )
    max_logloss_rise: float = Field(
        0.1,
        gt=0,
        description="Share by which logloss ÷ that of the base rate may rise over promotion.",
    )
    max_calibration_shift: float = Field(
        0.2, gt=0, description="Share by which predicted/actual may move, up or down."
    )
    rollback_factor: float = Field(
        2.0,
        ge=1,
        description="Beyond so many times these two shares the champion before comes back, if it "
        "is surely better on the same days.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.drifted_days > self.days:
            raise ValueError(f"drifted_days: {self.drifted_days} of {self.days} days")
        return self
