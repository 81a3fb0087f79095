"""The baseline MMoE: experts shared by all tasks, and a gate per task."""

from __future__ import annotations

from torch import nn

from exit_pipeline.model.backbone import TabM
from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.tasks import TaskHeads, mix
from exit_pipeline.profile.learning import ModelSpec


class MMoE(Model):
    """Multi-gate mixture of experts (Ma et al. 2018, eq. 6–7); an expert is the shared backbone.

    Args:
        encoder: Vocabularies and bins.
        spec: Form and size; `experts` of them.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.experts = nn.ModuleList(
            TabM(self.rows.widths, spec.hidden, spec.members, spec.dropout)
            for _ in range(spec.experts)
        )
        self.gates = nn.ModuleList(
            nn.Linear(sum(self.rows.widths), spec.experts) for _ in range(1 + self.sources)
        )
        self.heads = TaskHeads(spec.hidden[-1], self.sources, spec.members)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        row = self.rows(batch, batch.hidden)
        x = row.joined()
        said = [expert(row.words, row.numbers) for expert in self.experts]
        return self.heads([mix(gate(x), said) for gate in self.gates])
