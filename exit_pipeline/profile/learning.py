"""The part of a profile that says how a model is trained, split, gated and promoted."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Width = Annotated[int, Field(ge=1, le=4096)]


class Strict(BaseModel):
    """A section of the profile: unknown keys are errors and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitSpec(Strict):
    """Split by time: train | gap | validation | gap | calibration | gap | evaluation.

    Counted back from the newest mature label day. Gaps are as long as the label horizon.
    """

    train_days: int = Field(28, ge=1, description="At most this many days of training rows.")
    validation_days: int = Field(2, ge=1, description="Days that training stops by.")
    calibration_days: int = Field(2, ge=1, description="Days that scores are calibrated on.")
    evaluation_days: int = Field(3, ge=1, description="Days that the gates look at.")


class ModelSpec(Strict):
    """Form and size of the model."""

    combination: Literal["carry", "sum"] = Field(
        "carry", description="`carry` (ours) adds logits; `sum` is the paper's."
    )
    members: int = Field(8, ge=1, le=64, description="Members of the TabM ensemble; 1 is one net.")
    hidden: tuple[Width, ...] = Field((128, 128), min_length=1, description="Layers of TabM.")
    side_hidden: tuple[Width, ...] = Field(
        (96, 48), min_length=1, description="Layers under the source heads, and of the SSN."
    )
    experts: int = Field(
        3, ge=1, le=64, description="Shared experts of the baselines MMoE and PLE."
    )
    embedding_dim: int = Field(8, ge=1, le=256, description="Width of a categorical embedding.")
    bins: int = Field(16, ge=2, le=256, description="Quantile bins of a numeric feature.")
    id_dropout: float = Field(
        1.0, ge=0, le=1, description="Share of ids hidden in training; 1 leaves them out."
    )
    min_id_count: int = Field(5, ge=1, description="Rarer ids share the unknown id's row.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of units dropped.")
    value_dropout: float = Field(
        0.02, ge=0, lt=1, description="Share of attributes, context and units hidden in training."
    )
    source_dropout: float = Field(
        0.02, ge=0, lt=1, description="Share of rows whose source is hidden from everything."
    )
    trunk: Literal["gated", "open", "closed"] = Field(
        "gated",
        description="What the target's trunk sees of a source that interest in the unit was shown "
        "in: all but what is known not to transfer; all; or nothing of any source.",
    )
    gate_rows: float = Field(
        1000.0,
        gt=0,
        description="Training rows with interest in a unit after which the gate is half open.",
    )
    resistance: bool = Field(
        True,
        description="Whether interest known not to transfer may lower the score (`gated` trunk).",
    )
    side_gradient: float = Field(
        0.0, ge=0, le=1, description="How much of source heads' and SSN's gradient embeddings get."
    )
    ssn: Literal["scene", "constant"] = Field(
        "scene", description="`constant` has no SSN: one transfer per source, in every scene."
    )
    source_label: Literal["ahead", "before", "graded"] = Field(
        "ahead",
        description="What a source head predicts: interest from t on, before t, or from t on and "
        "graded by how much there was up to then.",
    )
    sum_loss: Literal["l1", "huber", "squared"] = Field("l1", description="Loss of `sum`.")

    @property
    def resists(self) -> bool:
        """Whether there is a gate that knows what does not transfer, and it may lower the score."""
        return self.resistance and self.trunk == "gated"


class TrainingSpec(Strict):
    """The training loop."""

    seed: int = Field(7, ge=0, description="Of weights, batches and dropout.")
    batch_size: int = Field(512, ge=1, description="Rows of a step.")
    epochs: int = Field(6, ge=1, description="At most this many.")
    patience: int = Field(
        6,
        ge=1,
        description="Training stops after so many epochs without a better validation logloss. As "
        "many as `epochs`: never, since learning rates fall to 0 at the last one.",
    )
    learning_rate: float = Field(
        0.01, gt=0, description="Of AdamW, at first; it falls to 0 at the last epoch."
    )
    weight_decay: float = Field(1e-3, ge=0, description="Of AdamW.")
    table_rows: int = Field(
        50_000, ge=0, description="Larger embedding tables change in the rows of a batch alone."
    )
    table_rate: float = Field(0.02, gt=0, description="Of those tables' row-wise Adagrad.")
    lambda_target: float = Field(1.0, ge=0, description="λ₁: weight of the target head (`sum`).")
    lambda_source: float = Field(1.0, ge=0, description="λ₂: weight of the source heads.")
    lambda_transfer: float = Field(0.1, ge=0, description="λ₃: weight of the transfer term.")
    lambda_order: float = Field(0.1, ge=0, description="Weight of the order head.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Of products on a CPU; `auto` takes bf16 where it has such units."
    )
    shuffle_buffer: int = Field(262_144, ge=1, description="Rows shuffled at a time.")
    max_loss_rise: float = Field(
        5.0,
        gt=1,
        description="Training stops when the loss, over 50 steps, is above the first epoch's mean "
        "(in that epoch, the first step's) by this factor.",
    )
    calibration: Literal["platt", "isotonic"] = Field(
        "platt", description="Map from the logit to a calibrated one, fitted after training."
    )


class GatesSpec(Strict):
    """When a challenger becomes champion."""

    logloss_margin: float = Field(
        0.0005, ge=0, description="How much worse is still not worse; all of the 95 % interval."
    )
    slice_min_positives: int = Field(500, ge=1, description="Support of a slice that is tested.")
    slice_alpha: float = Field(0.05, gt=0, lt=1, description="Level of Holm's correction.")
    max_ece: float = Field(0.02, gt=0, description="Expected calibration error after calibration.")
    max_miscalibration: float = Field(
        0.25,
        gt=0,
        description="Share by which outcomes expected may differ from those that came, over all "
        "rows; what chance may explain (Poisson, 95 %) does not count.",
    )
    transfer_collapse: tuple[float, float] = Field(
        (0.5, 1.5), description="Healthy range of mean p_transfer ÷ mean a where y_s = 1."
    )
    max_idle_transfer: float = Field(
        0.05,
        ge=0,
        le=1,
        description="How far mean p_transfer may be above mean a in any case, as where both are "
        "near 0 their ratio says little.",
    )
    max_memorized: float = Field(
        0.05,
        gt=0,
        description="How much more logloss thin groups may lose out of training than with "
        "target-only.",
    )
    transfer_min_rows: int = Field(
        200,
        ge=1,
        description="With fewer rows the gates on p_transfer and on what was memorized pass.",
    )
    champion_max_age_days: int = Field(
        14, ge=1, description="An older champion yields to a model that is merely not worse."
    )
    bootstrap_draws: int = Field(
        1000, ge=100, le=100_000, description="Draws of users behind every interval."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.transfer_collapse
        if not 0 <= low <= high:
            raise ValueError(f"transfer_collapse: {low} … {high} is no range; write [low, high]")
        return self
