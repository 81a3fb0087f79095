"""What all models have in common."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from exit_pipeline.model.embeddings import RowEmbedding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch
from exit_pipeline.profile.learning import ModelSpec


class Model(nn.Module):
    """A network from a `Batch` to `Outputs`; each has the same signature, and embeds rows alike.

    Args:
        encoder: Vocabularies and bins.
        spec: Form and size.
    """

    reads_sources = True
    # Whether it learns from the sources' impressions too, told apart by the input `domain`.
    reads_domains = False
    # Whether several processes can train it, which share gradients and nothing else.
    trains_together = True

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__()
        self.rows = RowEmbedding(encoder, spec)
        self.sources = len(encoder.spec.sources)

    def survey(self, batches: Iterable[Batch]) -> None:
        """Notes what a model must know of its training rows before the first step: nothing."""
