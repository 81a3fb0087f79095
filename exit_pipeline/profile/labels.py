"""The part of a profile that says what labels and features look at, and for how long."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from exit_pipeline.profile.learning import Strict
from exit_pipeline.times import DAY_US, HOUR_US, MINUTE_US

# The limits that each definition of consistency reads (`sql/group_consistency.sql`).
LIMITS = {
    "rate": ("min_rate_support",),
    "lift_raw": ("threshold", "min_support"),
    "lift": ("threshold", "min_support"),
    "soft": (),
}


class ConsistencySpec(Strict):
    """Group consistency a_k (`docs/labels.md`); constants are ours but for `rate`."""

    definition: Literal["rate", "lift_raw", "lift", "soft"] = Field(
        "lift", description="How a group is said to carry interest over."
    )
    expectation: Literal["bands", "regression"] = Field(
        "bands",
        description="What the lift is over, without carried interest: the rate of others in the "
        "same band of own response, or a regression's out-of-time predictions. `lift` and `soft` "
        "read that lift; with every definition the model has it as a feature.",
    )
    threshold: float | None = Field(
        None, gt=0, description="Least lift; default 2 for `lift_raw`, 1.6 for `lift`."
    )
    min_support: int = Field(15, ge=0, description="Least n₁ of a group (`lift_raw`, `lift`).")
    min_rate_support: int = Field(50, ge=0, description="Least n₀ + n₁ of a group (`rate`).")
    own_response_days: int = Field(
        14,
        ge=1,
        le=90,
        description="How far back the user's own response is read for the lift; more than the "
        "days after which an exposure is mature.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        read = LIMITS[self.definition]
        for key in ("threshold", "min_support", "min_rate_support"):
            if key not in read and getattr(self, key) != type(self).model_fields[key].default:
                limits = ", ".join(read) or "no limit"
                raise ValueError(f"{key}: `{self.definition}` reads {limits}; leave this out")
        return self

    @property
    def least_lift(self) -> float:
        """The threshold in force for this definition."""
        return self.threshold or (1.6 if self.definition == "lift" else 2.0)


class LabelSpec(Strict):
    """Windows of the labels; half open, in event time."""

    attribution_hours: int = Field(24, ge=1, le=168, description="A: an outcome's window.")
    interest_hours: int = Field(72, ge=1, le=720, description="W: source interest before t.")
    ahead_hours: int = Field(24, ge=1, le=168, description="H: source interest from t on.")
    consistency: ConsistencySpec = ConsistencySpec()

    @model_validator(mode="after")
    def _check(self) -> Self:
        own = self.consistency.own_response_days
        if own <= self.maturity_days:
            raise ValueError(
                f"consistency.own_response_days: {own} days hold no response that is mature after "
                f"{self.maturity_days}; write {self.maturity_days + 1} or more"
            )
        return self

    @property
    def horizon_days(self) -> int:
        """Whole days an exposure waits after its own day: ceil(max(A, H) / 24 h)."""
        return -(-max(self.attribution_hours, self.ahead_hours) // 24)

    @property
    def maturity_days(self) -> int:
        """Days from an exposure's day to `mature_on` (2 by default)."""
        return 1 + self.horizon_days

    @property
    def history_days(self) -> int:
        """Whole days of source events read before an exposure's day."""
        return -(-self.interest_hours // 24)


class FeatureSpec(Strict):
    """Point-in-time features (`docs/features.md`)."""

    availability_lag_minutes: int = Field(
        5,
        ge=1,
        le=1440,
        description="Delay of every feature, in training as in serving; at least 1: a feature "
        "counts from its moment on, and an outcome may bear the very time of its exposure.",
    )
    window_days: int = Field(14, ge=1, le=90, description="Window of rates and counts.")
    ttl_days: int = Field(30, ge=1, le=365, description="Age beyond which a feature is null.")
    recent_units: int = Field(64, ge=1, le=256, description="Units kept in a user's state.")
    half_life_hours: float = Field(24.0, gt=0, description="Half-life of decayed counts.")

    @property
    def lag_us(self) -> int:
        """Delay of every feature, µs."""
        return self.availability_lag_minutes * MINUTE_US

    @property
    def half_life_us(self) -> int:
        """Half-life of decayed counts, µs."""
        return round(self.half_life_hours * HOUR_US)

    @property
    def window_us(self) -> int:
        """Window of rates and counts, µs."""
        return self.window_days * DAY_US

    @property
    def hold_us(self) -> int:
        """See `hold_days`; µs."""
        return self.hold_days * DAY_US

    @property
    def hold_days(self) -> int:
        """Days for which a domain's state of interest holds after the newest event in it."""
        return min(self.window_days, self.ttl_days)

    @property
    def reach_days(self) -> int:
        """Whole days back that a state may read: the oldest that still holds has a window too."""
        return self.hold_days + self.window_days
