"""Heads of the multi-task baselines: the outcome, an order given it, and each source's interest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exit_pipeline.model.backbone import MemberHead
from exit_pipeline.model.inputs import Outputs


class TaskHeads(nn.Module):
    """A logit per task on what a baseline's trunk says of it; nothing is carried over explicitly.

    Tasks stand in the order outcome, then sources; the order head shares the outcome's.

    Args:
        width: Of a task's representation.
        sources: K.
        members: m.
    """

    def __init__(self, width: int, sources: int, members: int) -> None:
        super().__init__()
        self.outcome, self.order = MemberHead(width, members), MemberHead(width, members)
        self.sources = nn.ModuleList(MemberHead(width, members) for _ in range(sources))

    def forward(self, tasks: list[Tensor]) -> Outputs:
        """float[m, n, width] for each of 1 + K tasks → outputs without transfer."""
        members, order = self.outcome(tasks[0]), self.order(tasks[0]).mean(0)
        said = [one(h).mean(0) for one, h in zip(self.sources, tasks[1:], strict=True)]
        own = members.mean(0)
        nothing = own.new_zeros(len(own), 0)
        return Outputs(own, own, nothing, own, torch.stack(said, dim=1), nothing, order, members)


def alone(members: Tensor, order: Tensor) -> Outputs:
    """float[m, n] logits of the outcome, float[n] of an order given it → outputs of those alone."""
    own = members.mean(0)
    nothing = own.new_zeros(len(own), 0)
    return Outputs(own, own, nothing, own, nothing, nothing, order, members)


def mix(gate: Tensor, experts: list[Tensor]) -> Tensor:
    """Σ_e softmax(gate)_e · expert_e: float[n, E] and E of float[m, n, width] → [m, n, width]."""
    weights = gate.softmax(-1)
    parts = [weights[:, e, None] * expert for e, expert in enumerate(experts)]
    return torch.stack(parts).sum(0)
