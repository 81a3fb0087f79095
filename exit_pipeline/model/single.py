"""Single-task baselines: the shared backbone without any explicit transfer."""

from __future__ import annotations

from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.ipn import TargetInterest
from exit_pipeline.model.tasks import alone
from exit_pipeline.profile.learning import ModelSpec


class Features(Model):
    """P = σ(z_t) from target and source inputs alike: transfer is left to the network."""

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.target = TargetInterest(self.rows.widths, spec)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them; nothing is carried over."""
        return alone(*self.target(self.rows(batch, batch.hidden)))


class TargetOnly(Features):
    """The same, from the target's own inputs alone."""

    reads_sources = False
