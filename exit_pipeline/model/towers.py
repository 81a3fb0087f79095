"""Two plain towers and an SSN: the reference by which the speed of training is measured."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from exit_pipeline.model.backbone import tower
from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.exit import FIRST_STRENGTH
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.ipn import SourceInterest
from exit_pipeline.model.ssn import SceneSelector
from exit_pipeline.profile.learning import ModelSpec


class Towers(Model):
    """P = σ(z_t + Σ_k κ_k[c] · p_s,k · p_tr,k), each part a net of its own (`carry` is ours).

    The target's and the sources' tower have the layers `hidden`, the SSN `side_hidden`. No part has
    an ensemble, and where no column is numeric the nets read embeddings alone: products and
    embedding rows are what any such model pays for.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.numeric = bool(encoder.spec.numbers)
        words = len(encoder.spec.categorical)
        width = sum(self.rows.widths[: None if self.numeric else words])
        self.target = tower(width, spec.hidden, spec.dropout).append(nn.Linear(spec.hidden[-1], 2))
        like_target = spec.model_copy(update={"side_hidden": spec.hidden})
        self.source = SourceInterest(width, self.sources, like_target)
        self.ssn = SceneSelector(width, self.sources, spec)
        self.unit = encoder.spec.categorical.index(encoder.unit)
        self.strength = nn.Embedding(encoder.sizes()[self.unit], self.sources)
        nn.init.constant_(self.strength.weight, FIRST_STRENGTH)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        row = self.rows(batch, batch.hidden)
        x = row.joined() if self.numeric else row.words
        own, order = self.target(x).unbind(1)
        source, transfer = self.source(x), self.ssn(x)
        units = batch.categorical[:, self.unit]
        return self.combine(own[None], order, source, transfer, units, batch.hidden)

    def combine(
        self, members: Tensor, order: Tensor, source: Tensor, transfer: Tensor, units: Tensor,
        hidden: Tensor,
    ) -> Outputs:  # fmt: skip
        """Puts together what the nets say of n rows; see `Exit.combine`."""
        own = members.mean(0)
        carried = source.sigmoid() * transfer.sigmoid() * ~hidden
        carry = F.softplus(self.strength(units)) * carried
        return Outputs(own + carry.sum(1), own, carry, own, source, transfer, order, members)
