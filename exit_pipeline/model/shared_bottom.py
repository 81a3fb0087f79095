"""The baseline SharedBottom: one trunk, a head per task."""

from __future__ import annotations

from exit_pipeline.model.backbone import TabM
from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.tasks import TaskHeads
from exit_pipeline.profile.learning import ModelSpec


class SharedBottom(Model):
    """Every task on the same representation (Caruana 1997)."""

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.trunk = TabM(self.rows.widths, spec.hidden, spec.members, spec.dropout)
        self.heads = TaskHeads(self.trunk.width, self.sources, spec.members)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        row = self.rows(batch, batch.hidden)
        h = self.trunk(row.words, row.numbers)
        return self.heads([h] * (1 + self.sources))
