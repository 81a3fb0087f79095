"""Scene Selector Network: how strongly this scene lets source interest transfer."""

from __future__ import annotations

from torch import Tensor, nn

from exit_pipeline.model.backbone import tower
from exit_pipeline.profile.learning import ModelSpec


class SceneSelector(nn.Module):
    """SSN (the paper's part): from user, item, context and scene to a logit per source.

    Args:
        inputs: Width of what it reads.
        sources: K.
        spec: Sizes.
    """

    def __init__(self, inputs: int, sources: int, spec: ModelSpec) -> None:
        super().__init__()
        self.trunk = tower(inputs, spec.side_hidden, spec.dropout)
        self.head = nn.Linear(spec.side_hidden[-1], sources)

    def forward(self, x: Tensor) -> Tensor:
        """float[n, inputs] → z_tr float[n, K]."""
        return self.head(self.trunk(x))
