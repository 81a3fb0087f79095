"""The baseline STAR: one network for all domains, with weights and statistics of each one's own."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from exit_pipeline.errors import TrainingError
from exit_pipeline.model.backbone import FoldedLayer, MemberHead, TabM, tower
from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import DOMAIN, Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.tasks import alone
from exit_pipeline.profile.learning import ModelSpec

# How much of running statistics a batch renews.
RATE = 0.1
# Large beside the variance of a rare flag, which is thus never magnified more than tenfold.
EPSILON = 0.01


class STAR(Model):
    """Star topology adaptive recommender (Sheng et al. 2021, arXiv 2101.11427).

    Domain p's layers are φ((W_p ⊗ W)ᵀ x + b_p + b) on x normalized by the domain's statistics, and
    an auxiliary net on the row, which has the embedded domain, adds its logit: σ(s_m + s_a).
    Adapted: layers and heads are TabM's; an order shares the outcome's layers. Rows of every
    domain are labelled with what came of them there, so there is no source task beside.

    Args:
        encoder: Vocabularies and bins, with the column `domain`.
        spec: Form and size.

    Raises:
        TrainingError: No input says which domain a row is of.
    """

    reads_domains = True
    trains_together = False  # each process would normalize by its own rows

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        columns, width = encoder.spec.categorical, sum(self.rows.widths)
        if DOMAIN not in columns:
            raise TrainingError(
                "STAR learns from rows of several domains, and no input tells them apart",
                where=f"the column {DOMAIN}",
                mend="train it on pooled rows: RowsSpec(kind='pooled')",
            )
        self.at, self.domains = columns.index(DOMAIN), encoder.sizes()[columns.index(DOMAIN)]
        self.normalization = PartitionedNormalization(width, self.domains)
        self.trunk = StarTrunk(self.rows.widths, spec, self.domains)
        self.outcome = StarHead(self.trunk.width, spec.members, self.domains)
        self.order = StarHead(self.trunk.width, spec.members, self.domains)
        self.auxiliary = tower(width, spec.side_hidden, spec.dropout)
        self.auxiliary.append(nn.Linear(spec.side_hidden[-1], 1))

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them; nothing is carried over."""
        sort = batch.categorical[:, self.at].argsort(stable=True)
        rows = Batch(batch.categorical[sort], batch.numeric[sort], batch.hidden[sort], {})
        x = self.rows(rows, rows.hidden).joined()
        counts = rows.categorical[:, self.at].bincount(minlength=self.domains).tolist()
        said = [self._of(p, part) for p, part in enumerate(x.split(counts)) if len(part)]
        members, order = (torch.cat(parts, dim=1) for parts in zip(*said, strict=True))
        back = sort.argsort()
        members = members + self.auxiliary(x).squeeze(1)
        return alone(members[:, back], order.mean(0)[back])

    def _of(self, p: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of one domain → logits of the outcome and of an order, float[m, n] each."""
        h = self.trunk.of(p, self.normalization(p, x))
        return self.outcome.of(p, h), self.order.of(p, h)


class PartitionedNormalization(nn.Module):
    """(γ · γ_p) (x − μ_p) / √(σ_p² + ε) + β + β_p, with μ_p and σ_p² of all earlier batches.

    The paper normalizes by the batch's statistics in training and by running ones after it; here
    always by running ones, so that no row ever depends on its batch. What is of a domain is kept
    as its departure from what is shared, here and below: weight decay draws it there.

    Args:
        width: Of the rows.
        domains: Number of domains, the unknown one included.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, domains: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.own_scale = nn.Parameter(torch.zeros(domains, width))
        self.own_shift = nn.Parameter(torch.zeros(domains, width))
        self.register_buffer("mean", torch.zeros(domains, width))
        self.register_buffer("variance", torch.ones(domains, width))

    def forward(self, p: int, x: Tensor) -> Tensor:
        """float[n, width] of domain p → the same, normalized; in training it is then counted."""
        away = x - self.mean[p]
        factor = self.scale * (1 + self.own_scale[p]) * (self.variance[p] + EPSILON).rsqrt()
        if self.training:
            with torch.no_grad():
                self.variance[p] += RATE * (away.square().mean(0) - self.variance[p])
                self.mean[p] += RATE * away.mean(0)
        return away * factor + self.shift + self.own_shift[p]


class StarLayer(FoldedLayer):
    """A folded layer whose weights are the shared ones times the domain's."""

    def __init__(self, inputs: int, width: int, domains: int, **more: Any) -> None:
        super().__init__(inputs, width, **more)
        self.own_weight = nn.Parameter(torch.zeros(domains, inputs, width))
        self.own_bias = nn.Parameter(torch.zeros(domains, width))

    def of(self, p: int, x: Tensor) -> Tensor:
        """float[n, d] of domain p, or float[m, n, d] → float[m, n, out]."""
        assert self.bias is not None
        weight = self.folded() * (1 + self.own_weight[p])
        bias = (self.bias + self.own_bias[p])[:, None]
        return torch.baddbmm(bias, x.expand(self.k, *x.shape[-2:]), weight)


class StarTrunk(TabM):
    """TabM of such layers."""

    def __init__(self, widths: list[int], spec: ModelSpec, domains: int) -> None:
        layer = partial(StarLayer, domains=domains)
        super().__init__(widths, spec.hidden, spec.members, spec.dropout, layer)

    def of(self, p: int, h: Tensor) -> Tensor:
        """float[n, d] of domain p → float[m, n, width]."""
        for layer in self.layers:
            assert isinstance(layer, StarLayer)
            h = self._end(layer.of(p, h))
        return h


class StarHead(MemberHead):
    """A logit per member, likewise."""

    def __init__(self, width: int, members: int, domains: int) -> None:
        super().__init__(width, members)
        self.own_weight = nn.Parameter(torch.zeros(domains, width, 1))
        self.own_bias = nn.Parameter(torch.zeros(domains))

    def of(self, p: int, h: Tensor) -> Tensor:
        """float[m, n, width] of domain p → float[m, n]."""
        assert self.bias is not None
        weight = self.weight * (1 + self.own_weight[p])
        return torch.baddbmm(self.bias[:, None] + self.own_bias[p], h, weight).squeeze(-1)
