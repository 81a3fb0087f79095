"""The baseline that ignores the sources: same embeddings, same trunk, no source input."""

from __future__ import annotations

import torch
from torch import nn

from exit_pipeline.model.embeddings import CategoricalEmbedding, NumericEmbedding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.ipn import InterestPrediction
from exit_pipeline.profile.learning import ModelSpec


class TargetOnly(nn.Module):
    """P = σ(z_t), from the target's own inputs alone.

    Args:
        encoder: Vocabularies and bins, of inputs without those of sources.
        spec: Form and size.
    """

    reads_sources = False

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__()
        columns = encoder.spec
        self.categorical = CategoricalEmbedding(encoder, spec.embedding_dim, spec.id_dropout)
        self.numeric = NumericEmbedding(encoder, columns.numbers, spec.numeric_dim)
        width = len(columns.categorical) * spec.embedding_dim
        width += len(columns.numbers) * spec.numeric_dim
        self.ipn = InterestPrediction(width, 0, spec)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them; nothing is carried over."""
        words = self.categorical(batch.categorical).flatten(1)
        numbers = self.numeric(batch.numeric).flatten(1)
        own, order, nothing, aside = self.ipn(torch.cat([words, numbers], dim=1))
        return Outputs(own, own, nothing, own, nothing, nothing, order, aside)
