"""EXIT: own interest plus what each source carries over in this scene."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exit_pipeline.model.base import Model
from exit_pipeline.model.embeddings import Row, source_columns
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.ipn import SourceInterest, TargetInterest
from exit_pipeline.model.ssn import selector
from exit_pipeline.profile.learning import ModelSpec

# P_whole of `sum` lies in [0, 2]; a margin keeps its logit finite (the paper truncates it online).
MARGIN = 1e-4
# Before κ: at first, interest that is sure and wholly transfers moves the logit by softplus(2).
FIRST_STRENGTH = 2.0
# Before σ: at first an eighth of what does not transfer is seen.
FIRST_TASTE = -2.0
# Exposures of a group after which half of what does not transfer there is known.
SUPPORT = 15.0


class Exit(Model):
    """The model (paper, outline; combination `carry` is ours).

    `carry`: P = σ(z_t + Σ_k κ_k[c] · p_s,k · p_tr,k), κ ≥ 0 by softplus, one per source and unit.
    `sum`: P_whole = p_t + max_k p_s,k · p_tr,k, truncated to [0, 2] less a margin.

    What a source says of a unit that interest was shown in reaches the target's trunk less what is
    known not to transfer, to the share 1 − n / (n + 15) · (1 − p_tr,k) · (1 − τ_k) (`trunk: gated`,
    ours): n is the support of the group's history, and τ_k, learned, one per source, what tells of
    taste that both domains share. To that share the encoded inputs are mixed with those of a
    hidden source. No gradient goes back to p_tr,k, which stays what the ICL says.

    `source_dropout` hides a source from everything in training, and nothing of it is carried: that
    teaches what a forbidden cell scores. A batch's `bounds` (ours) hold the z_tr of sources that a
    policy governs, and of those the trunk sees no more than that.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.spec, sources = spec, self.sources
        self.target = TargetInterest(self.rows.widths, spec)
        self.source = SourceInterest(sum(self.rows.widths), sources, spec)
        self.ssn = selector(sum(self.rows.scene_widths), sources, spec)
        self.unit = encoder.spec.categorical.index(encoder.unit)
        self.counts = source_columns(encoder.spec, "{}_count")
        self.supports = source_columns(encoder.spec, "support_{}")
        self.strength = nn.Embedding(encoder.sizes()[self.unit], sources)
        nn.init.constant_(self.strength.weight, FIRST_STRENGTH)
        if spec.trunk == "gated":
            self.taste = nn.Parameter(torch.full((sources,), FIRST_TASTE))

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        hidden, gradient = self._hidden(batch), self.spec.side_gradient
        row = self.rows(batch, hidden)
        source = self.source(row.joined(gradient))
        transfer = self.ssn(self.rows.of_scene(row, batch, hidden).joined(gradient))
        if batch.bounds is not None:  # fmin and fmax pass over NaN: what is free stays as it is
            transfer = transfer.fmin(batch.bounds[..., 1]).fmax(batch.bounds[..., 0])
        p_transfer = transfer.sigmoid()
        members, order = self.target(self._seen(row, batch, p_transfer.detach()))
        carried = source.sigmoid() * p_transfer * ~hidden
        own = members.mean(0)
        if self.spec.combination == "sum":
            return _summed(own, members, order, source, transfer, carried)
        carry = F.softplus(self.strength(batch.categorical[:, self.unit])) * carried
        return Outputs(own + carry.sum(1), own, carry, own, source, transfer, order, members)

    def _hidden(self, batch: Batch) -> Tensor:
        """bool[n, K]: what is hidden already, and in training a share more."""
        if not self.training or self.spec.source_dropout == 0:
            return batch.hidden
        draw = torch.rand(batch.hidden.shape, device=batch.hidden.device)
        return batch.hidden | (draw < self.spec.source_dropout)

    def _seen(self, row: Row, batch: Batch, p_transfer: Tensor) -> Row:
        """The rows as the trunk sees them; of governed sources no more than may be carried."""
        share = torch.ones_like(p_transfer)
        if self.spec.trunk == "closed":
            share = torch.zeros_like(p_transfer)
        elif self.spec.trunk == "gated":
            denied = self._known(batch) * (1 - p_transfer) * (1 - self.taste.sigmoid())
            share = torch.where(batch.numeric[:, self.counts] > 0, 1 - denied, share)
        elif batch.bounds is None:
            return row
        if batch.bounds is not None:
            free = batch.bounds[..., 1].isnan()
            share = torch.where(free, share, torch.minimum(share, p_transfer))
        return self.rows.to_share(row, share)

    def _known(self, batch: Batch) -> Tensor | float:
        """How far p_tr,k rests on the group's history; wholly where that is no input."""
        if not self.supports:
            return 1.0
        support = batch.numeric[:, self.supports].nan_to_num()
        return support / (support + SUPPORT)


def _summed(
    target: Tensor, members: Tensor, order: Tensor, source: Tensor, transfer: Tensor,
    carried: Tensor,
) -> Outputs:  # fmt: skip
    """The source that carries most moves the logit from where target interest alone puts it."""
    whole = target.sigmoid() + carried.amax(1)
    logit, own = _half_logit(whole), _half_logit(target.sigmoid())
    carry = F.one_hot(carried.argmax(1), carried.shape[1]) * (logit - own)[:, None]
    return Outputs(logit, own, carry, target, source, transfer, order, members, whole)


def _half_logit(whole: Tensor) -> Tensor:
    return torch.logit((whole / 2).clamp(MARGIN, 1 - MARGIN))
