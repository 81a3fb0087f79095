"""Interest Prediction Network: target interest, an order given the outcome, and source interest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exit_pipeline.model.backbone import MMoE, head, scale_gradient
from exit_pipeline.profile.learning import ModelSpec


class InterestPrediction(nn.Module):
    """IPN (the paper's part; heads on an MMoE trunk are ours).

    Args:
        inputs: Width of the embedded row.
        sources: K.
        spec: Sizes.
    """

    def __init__(self, inputs: int, sources: int, spec: ModelSpec) -> None:
        super().__init__()
        self.trunk = MMoE(inputs, 2 + sources, spec.experts, spec.hidden, spec.dropout)
        self.heads = nn.ModuleList(
            head(self.trunk.width, spec.head_hidden) for _ in range(2 + sources)
        )
        self.gradient = spec.head_gradient

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """float[n, inputs] → z_t [n], order given y [n], z_s [n, K], and z_s for its loss."""
        h = self.trunk(x)
        own, order = (self.heads[i](h[:, i]).squeeze(-1) for i in (0, 1))
        sources = range(2, len(self.heads))
        said = [self.heads[i](h[:, i]).squeeze(-1) for i in sources]
        aside = [self.heads[i](scale_gradient(h[:, i], self.gradient)).squeeze(-1) for i in sources]
        return own, order, _columns(said, own), _columns(aside, own)


def _columns(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(parts, dim=1) if parts else like.new_zeros(len(like), 0)
