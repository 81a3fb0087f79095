"""Two plain towers and an SSN: the reference by which the speed of training is measured."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from exit_pipeline.model.backbone import tower
from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.exit import FIRST_STRENGTH
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.profile.learning import ModelSpec


class Towers(Model):
    """P = σ(z_t + Σ_k κ_k[c] · p_s,k · p_tr,k), each part a net of its own (`carry` is ours).

    The target's and the sources' tower have the layers `hidden`, the SSN `side_hidden`; the first
    layers of all three are one product. No part has an ensemble, and where no column is numeric the
    nets read embeddings alone: products and embedding rows are what any such model pays for.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.numeric = bool(encoder.spec.numbers)
        words = len(encoder.spec.categorical)
        width = sum(self.rows.widths[: None if self.numeric else words])
        layers = [spec.hidden, spec.hidden, spec.side_hidden]
        self.firsts = [first for first, *_ in layers]
        self.first = tower(width, (sum(self.firsts),), spec.dropout)
        outputs = (2, self.sources, self.sources)
        self.rests = nn.ModuleList(
            tower(first, tuple(rest), spec.dropout).append(nn.Linear([first, *rest][-1], out))
            for (first, *rest), out in zip(layers, outputs, strict=True)
        )
        self.unit = encoder.spec.categorical.index(encoder.unit)
        self.strength = nn.Embedding(encoder.sizes()[self.unit], self.sources)
        nn.init.constant_(self.strength.weight, FIRST_STRENGTH)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        row = self.rows(batch, batch.hidden)
        h = self.first(row.joined() if self.numeric else row.words).split(self.firsts, dim=1)
        target, source, transfer = (rest(part) for rest, part in zip(self.rests, h, strict=True))
        own, order = target.unbind(1)
        carried = source.sigmoid() * transfer.sigmoid() * ~batch.hidden
        carry = F.softplus(self.strength(batch.categorical[:, self.unit])) * carried
        return Outputs(own + carry.sum(1), own, carry, own, source, transfer, order, own[None])
