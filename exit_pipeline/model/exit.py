"""EXIT: own interest plus what each source carries over in this scene."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.ipn import SourceInterest, TargetInterest
from exit_pipeline.model.ssn import SceneSelector
from exit_pipeline.profile.learning import ModelSpec

# P_whole of `sum` lies in [0, 2]; a margin keeps its logit finite (the paper truncates it online).
MARGIN = 1e-4
# Before κ: at first, interest that is sure and wholly transfers moves the logit by softplus(2).
FIRST_STRENGTH = 2.0


class Exit(Model):
    """The model (paper, outline; combination `carry` is ours).

    `carry`: P = σ(z_t + Σ_k κ_k[c] · p_s,k · p_tr,k), κ ≥ 0 by softplus, one per source and unit.
    `sum`: P_whole = p_t + max_k p_s,k · p_tr,k, truncated to [0, 2] less a margin.

    Two shares of sources are hidden in training (ours). `source_dropout` hides a source from
    everything, and nothing of it is carried: that teaches what a forbidden cell scores.
    `trunk_dropout` hides it from the trunk alone, so that what a source says comes by the carry.
    A batch's `bounds` (ours) do that to the sources that a policy governs, and hold their z_tr.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.spec, sources = spec, self.sources
        self.target = TargetInterest(self.rows.widths, spec)
        self.source = SourceInterest(sum(self.rows.widths), sources, spec)
        self.ssn = SceneSelector(sum(self.rows.scene_widths), sources, spec)
        self.unit = encoder.spec.categorical.index(encoder.unit)
        self.strength = nn.Embedding(encoder.sizes()[self.unit], sources)
        nn.init.constant_(self.strength.weight, FIRST_STRENGTH)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        hidden = self._drawn(batch.hidden, self.spec.source_dropout)
        row = self.rows(batch, hidden)
        unseen = self._drawn(hidden, self.spec.trunk_dropout)
        if batch.bounds is not None:
            unseen = unseen | ~batch.bounds[..., 1].isnan()
        seen = row if unseen is hidden else self.rows.hide(row, batch, unseen)
        members, order = self.target(seen)
        gradient = self.spec.side_gradient
        source = self.source(row.joined(gradient))
        transfer = self.ssn(self.rows.of_scene(row, batch, hidden).joined(gradient))
        units = batch.categorical[:, self.unit]
        return self.combine(members, order, source, transfer, units, hidden, batch.bounds)

    def combine(
        self, members: Tensor, order: Tensor, source: Tensor, transfer: Tensor, units: Tensor,
        hidden: Tensor, bounds: Tensor | None,
    ) -> Outputs:  # fmt: skip
        """Puts together what the nets say of n rows.

        Args:
            members: float[m, n], z_t by member.
            order: float[n], of an order given the outcome.
            source: float[n, K], z_s.
            transfer: float[n, K], z_tr.
            units: int64[n], encoded interest units.
            hidden: bool[n, K], sources of which nothing is carried.
            bounds: float[n, K, 2], of a batch (see `Batch`).
        """
        if bounds is not None:  # fmin and fmax pass over NaN: what is free stays as it is
            transfer = transfer.fmin(bounds[..., 1]).fmax(bounds[..., 0])
        carried = source.sigmoid() * transfer.sigmoid() * ~hidden
        own = members.mean(0)
        if self.spec.combination == "sum":
            return _summed(own, members, order, source, transfer, carried)
        carry = F.softplus(self.strength(units)) * carried
        return Outputs(own + carry.sum(1), own, carry, own, source, transfer, order, members)

    def _drawn(self, hidden: Tensor, share: float) -> Tensor:
        """bool[n, K]: what is hidden already, and in training a share more."""
        if not self.training or share == 0:
            return hidden
        return hidden | (torch.rand(hidden.shape, device=hidden.device) < share)


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
