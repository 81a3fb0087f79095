"""Scene Selector Network: how strongly this scene lets source interest transfer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exit_pipeline.model.backbone import head, scale_gradient, tower
from exit_pipeline.profile.learning import ModelSpec


class SceneSelector(nn.Module):
    """SSN (the paper's part): from user, item, context and scene to a logit per source.

    It reads the shared embeddings through a tower of its own; its gradient reaches them scaled by
    `head_gradient` (ours).

    Args:
        inputs: Width of what it reads.
        sources: K.
        spec: Sizes.
    """

    def __init__(self, inputs: int, sources: int, spec: ModelSpec) -> None:
        super().__init__()
        self.tower = tower(inputs, spec.hidden, spec.dropout)
        self.heads = nn.ModuleList(head(spec.hidden[-1], spec.head_hidden) for _ in range(sources))
        self.gradient = spec.head_gradient

    def forward(self, x: Tensor) -> Tensor:
        """float[n, inputs] → float[n, K]."""
        h = self.tower(scale_gradient(x, self.gradient))
        return torch.cat([one(h) for one in self.heads], dim=1)
