"""Scene Selector Network: how strongly this scene lets source interest transfer."""

from __future__ import annotations

import torch
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


class ConstantSelector(nn.Module):
    """No SSN (ours): a logit per source that is learned and the same in every scene.

    Args:
        sources: K.
    """

    def __init__(self, sources: int) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(sources))

    def forward(self, x: Tensor) -> Tensor:
        """float[n, inputs], of which n alone counts → z_tr float[n, K]."""
        return self.logit.expand(len(x), -1)


def selector(inputs: int, sources: int, spec: ModelSpec) -> nn.Module:
    """Returns what `spec.ssn` names."""
    if spec.ssn == "constant":
        return ConstantSelector(sources)
    return SceneSelector(inputs, sources, spec)
