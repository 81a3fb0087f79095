"""Interest Prediction Network: target interest, an order given the outcome, and source interest."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from exit_pipeline.model.backbone import MemberHead, TabM, tower
from exit_pipeline.model.embeddings import Row
from exit_pipeline.profile.learning import ModelSpec


class TargetInterest(nn.Module):
    """The IPN's target side: TabM with a head for the outcome and one for an order given it.

    Args:
        widths: Of the row's inputs.
        spec: Sizes.
    """

    def __init__(self, widths: Sequence[int], spec: ModelSpec) -> None:
        super().__init__()
        self.trunk = TabM(widths, spec.hidden, spec.members, spec.dropout)
        self.outcome = MemberHead(self.trunk.width, spec.members)
        self.order = MemberHead(self.trunk.width, spec.members)

    def forward(self, row: Row) -> tuple[Tensor, Tensor]:
        """N rows → z_t by member float[m, n], and order given y float[n]."""
        h = self.trunk(row.words, row.numbers)
        return self.outcome(h), self.order(h).mean(0)


class SourceInterest(nn.Module):
    """The IPN's source side, on a trunk of its own, so that it costs the target nothing (ours).

    Args:
        inputs: Width of the row.
        sources: K.
        spec: Sizes.
    """

    def __init__(self, inputs: int, sources: int, spec: ModelSpec) -> None:
        super().__init__()
        self.trunk = tower(inputs, spec.side_hidden, spec.dropout)
        self.head = nn.Linear(spec.side_hidden[-1], sources)

    def forward(self, x: Tensor) -> Tensor:
        """float[n, inputs] → z_s float[n, K]."""
        return self.head(self.trunk(x))
