"""EXIT: own interest plus what each source carries over in this scene."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exit_pipeline.errors import TrainingError
from exit_pipeline.model.base import Model
from exit_pipeline.model.embeddings import source_columns
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
# Before ρ: at first, interest that surely does not transfer takes softplus(−0.7) = .4 away.
FIRST_RESISTANCE = -0.7
# Exposures of a group after which half of what does not transfer there is known.
SUPPORT = 15.0


class Exit(Model):
    """The model (paper, outline; combination `carry` is ours).

    `carry`: P = σ(z_t + Σ_k κ_k[c] · p_s,k · p_tr,k), κ ≥ 0 by softplus, one per source and unit.
    `sum`: P_whole = p_t + max_k p_s,k · p_tr,k, truncated to [0, 2] less a margin.

    What a source says of a unit that interest was shown in reaches the target's trunk less what is
    known not to transfer, to the share 1 − n / (n + 15) · M² / (M² + N²) · (1 − p_tr,k) · (1 − τ_k)
    (`trunk: gated`, ours): n is the support of the group's history, N the training rows with such
    interest in the unit, from which the trunk can learn for itself (M is `gate_rows`), and τ_k,
    learned, one per source, what tells of taste that both domains share. To that share the encoded
    inputs are mixed with those of a hidden source. No gradient goes back to p_tr,k, which stays
    what the ICL says.

    Such interest may do worse than nothing: z_t is what the trunk says less
    Σ_k ρ_k · n / (n + 15) · M² / (M² + N²) · (1 − p_tr,k) (`resistance`, ours), ρ ≥ 0 by softplus,
    learned, one per source. Nothing is taken off for a source that is hidden or that a policy
    governs.

    `source_dropout` hides a source from everything in training, and nothing of it is carried: that
    teaches what a forbidden cell scores. A batch's `bounds` (ours) hold the z_tr of sources that a
    policy governs, and of those the trunk sees no more than that.
    """

    met: Tensor

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.spec, sources = spec, self.sources
        self.target = TargetInterest(self.rows.widths, spec)
        self.source = SourceInterest(sum(self.rows.widths), sources, spec)
        self.ssn = selector(sum(self.rows.scene_widths), sources, spec)
        self.unit = encoder.spec.categorical.index(encoder.unit)
        self.counts = source_columns(encoder.spec, "{}_count")
        if spec.trunk == "gated" and not self.counts:
            raise TrainingError(
                "the trunk's gate reads each source's count of interest in the unit",
                where="SOURCE_count is no input of some source",
                mend="bring the column back, or set model.trunk to open",
            )
        self.supports = source_columns(encoder.spec, "support_{}")
        self.strength = nn.Embedding(encoder.sizes()[self.unit], sources)
        nn.init.constant_(self.strength.weight, FIRST_STRENGTH)
        if spec.trunk == "gated":
            self.taste = nn.Parameter(torch.full((sources,), FIRST_TASTE))
            self.register_buffer("met", torch.zeros(encoder.sizes()[self.unit], sources))
        if spec.resists:
            self.resistance = nn.Parameter(torch.full((sources,), FIRST_RESISTANCE))

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        hidden, gradient = self._hidden(batch), self.spec.side_gradient
        row = self.rows(batch, hidden)
        source = self.source(row.joined(gradient))
        transfer = self.ssn(self.rows.of_scene(row, batch, hidden).joined(gradient))
        transfer = held(transfer, batch.bounds)
        units = batch.categorical[:, self.unit]
        known, p_transfer = self.known(batch.numeric, units), transfer.sigmoid().detach()
        share = self.share(known, p_transfer, batch.bounds)
        members, order = self.target(row if share is None else self.rows.to_share(row, share))
        members = members - self.resisted(known, p_transfer, hidden, batch.bounds)
        return self.combine(members, order, source, transfer, units, hidden)

    def combine(
        self, members: Tensor, order: Tensor, source: Tensor, transfer: Tensor, units: Tensor,
        hidden: Tensor,
    ) -> Outputs:  # fmt: skip
        """Puts together what the nets say of n rows.

        Args:
            members: float[m, n], z_t by member.
            order: float[n], of an order given the outcome.
            source: float[n, K], z_s.
            transfer: float[n, K], z_tr.
            units: int64[n], encoded interest units.
            hidden: bool[n, K], sources of which nothing is carried.
        """
        carried = source.sigmoid() * transfer.sigmoid() * ~hidden
        own = members.mean(0)
        if self.spec.combination == "sum":
            return _summed(own, members, order, source, transfer, carried)
        carry = F.softplus(self.strength(units)) * carried
        return Outputs(own + carry.sum(1), own, carry, own, source, transfer, order, members)

    def survey(self, batches: Iterable[Batch]) -> None:
        """Counts the training rows with interest in a unit, by unit and source: N of the gate."""
        if self.spec.trunk != "gated":
            return
        self.met.zero_()
        for batch in batches:
            shown = (batch.numeric[:, self.counts] > 0).to(self.met)
            self.met.index_add_(0, batch.categorical[:, self.unit].to(self.met.device), shown)

    def known(self, numbers: Tensor, units: Tensor) -> Tensor:
        """How far the trunk is to follow p_tr,k where interest in the unit was shown.

        The more, the more history of the group p_tr,k rests on, and the fewer such rows of the unit
        the trunk itself has learned from.

        Args:
            numbers: float[n, M], of a batch.
            units: int64[n], encoded interest units.

        Returns:
            float[n, K] in [0, 1]; 0 where none was shown.
        """
        if self.spec.trunk != "gated":
            return numbers.new_zeros(len(numbers), self.sources)
        shown = numbers[:, self.counts] > 0
        known = shown / (1 + (self.met[units] / self.spec.gate_rows).square())
        if not self.supports:
            return known
        support = numbers[:, self.supports].nan_to_num()
        return known * support / (support + SUPPORT)

    def share(self, known: Tensor, p_transfer: Tensor, bounds: Tensor | None) -> Tensor | None:
        """To which share the trunk sees each source; of governed ones no more than may be carried.

        Args:
            known: float[n, K], see above.
            p_transfer: float[n, K], held within the bounds.
            bounds: float[n, K, 2], of a batch (see `Batch`).

        Returns:
            float[n, K]; None where everything is seen.
        """
        share = torch.full_like(p_transfer, self.spec.trunk != "closed")
        if self.spec.trunk == "gated":
            share = 1 - known * (1 - p_transfer) * (1 - self.taste.sigmoid())
        elif self.spec.trunk == "open" and bounds is None:
            return None
        if bounds is None:
            return share
        return torch.where(bounds[..., 1].isnan(), share, torch.minimum(share, p_transfer))

    def resisted(
        self, known: Tensor, p_transfer: Tensor, hidden: Tensor, bounds: Tensor | None
    ) -> Tensor:
        """What interest takes off own interest where it is known not to transfer.

        Args:
            known: float[n, K], see above.
            p_transfer: float[n, K].
            hidden: bool[n, K], sources of which nothing is seen.
            bounds: float[n, K, 2], of a batch (see `Batch`).

        Returns:
            float[n], at least 0.
        """
        if not self.spec.resists:
            return known.new_zeros(len(known))
        resisted = known * (1 - p_transfer) * ~hidden
        if bounds is not None:
            resisted = resisted * bounds[..., 1].isnan()
        return (F.softplus(self.resistance) * resisted).sum(1)

    def _hidden(self, batch: Batch) -> Tensor:
        """bool[n, K]: what is hidden already, and in training a share more."""
        if not self.training or self.spec.source_dropout == 0:
            return batch.hidden
        draw = torch.rand(batch.hidden.shape, device=batch.hidden.device)
        return batch.hidden | (draw < self.spec.source_dropout)


def held(transfer: Tensor, bounds: Tensor | None) -> Tensor:
    """Returns z_tr, float[n, K], within the bounds of a batch."""
    if bounds is None:
        return transfer
    return transfer.fmin(bounds[..., 1]).fmax(bounds[..., 0])  # which pass over NaN: what is free


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
