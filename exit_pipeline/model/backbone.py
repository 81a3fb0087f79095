"""The plain backbone: experts shared by all tasks, and a gate per task (MMoE)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def tower(inputs: int, hidden: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Linear layers with ReLU and dropout; no normalization, so no row depends on its batch."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*layers)


def head(inputs: int, hidden: int) -> nn.Sequential:
    """A small head to one logit."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


class MMoE(nn.Module):
    """Multi-gate mixture of experts (Ma et al. 2018, eq. 6–7).

    Args:
        inputs: Width of the input.
        tasks: Number of gates.
        experts: Number of experts.
        hidden: Layers of each expert.
        dropout: Share dropped in experts.
    """

    def __init__(
        self, inputs: int, tasks: int, experts: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleList(tower(inputs, hidden, dropout) for _ in range(experts))
        self.gates = nn.Linear(inputs, tasks * experts)
        self.tasks, self.width = tasks, hidden[-1]

    def forward(self, x: Tensor) -> Tensor:
        """float[n, inputs] → float[n, tasks, width]."""
        said = torch.stack([expert(x) for expert in self.experts], dim=1)
        gates = self.gates(x).view(len(x), self.tasks, -1).softmax(-1)
        return torch.einsum("nte,new->ntw", gates, said)


def scale_gradient(x: Tensor, scale: float) -> Tensor:
    """Returns x itself, with its gradient multiplied by `scale`."""
    return x.detach() if scale == 0 else x.detach() + scale * (x - x.detach())
