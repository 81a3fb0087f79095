"""The baseline MiNet: interests of several kinds, weighted by what the candidate asks of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from exit_pipeline.features.interest import INTEREST_FEATURES
from exit_pipeline.model.backbone import tower
from exit_pipeline.model.base import Model
from exit_pipeline.model.embeddings import NumericEncoding, Row
from exit_pipeline.model.encoders import IDS, Encoder
from exit_pipeline.model.inputs import Batch, InputSpec, Outputs
from exit_pipeline.model.ipn import TargetInterest
from exit_pipeline.model.tasks import alone
from exit_pipeline.profile.learning import ModelSpec

USER = IDS[0]
RECENT = tuple(f"_{name}" for name in INTEREST_FEATURES)


class MiNet(Model):
    """Mixed interest network (Ouyang et al. 2020, arXiv 2008.02974).

    Interests are vectors z_g: long-term, recent in the target, recent in each source. The candidate
    q weights them, v = softmax(G ReLU(V [z_1 … z_G, q])), and the trunk reads [v_1 z_1 … v_G z_G,
    q]. What comes of a source is predicted from z of that source, the long-term one, and q.

    Adapted: the paper attends to each item that a user clicked. Here features count what the user
    showed for the candidate's unit, decayed, so z_g is a linear map of numbers that have met the
    candidate already; for sources it is the transfer matrix as well. Long-term are the user's id
    and rates; attributes do not say whose they are and stand with the candidate. One net weights
    all interests, and the weights add up to 1.

    Args:
        encoder: Vocabularies and bins.
        spec: Form and size; an interest is as wide as the last side layer.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        columns, dim = encoder.spec.categorical, spec.embedding_dim
        groups, others = interests(encoder.spec)
        encodings = [NumericEncoding(encoder, names) for names in groups]
        self.encodings = nn.ModuleList(encodings)
        self.others, self.dim = NumericEncoding(encoder, others), dim
        self.user = [i for i, name in enumerate(columns) if name == USER]
        self.candidate = [i for i, name in enumerate(columns) if name != USER]
        words = [dim] * len(self.candidate)

        width, (longterm, *recent) = spec.side_hidden[-1], (sum(one.widths) for one in encodings)
        inputs = [longterm + len(self.user) * dim, *recent]
        self.maps = nn.ModuleList(nn.Linear(one, width) for one in inputs)
        self.score = _net(len(groups) * width + sum(words), width, len(groups))
        self.source = nn.ModuleList(
            _net(2 * width + sum(words), width, 1) for _ in range(self.sources)
        )
        self.target = TargetInterest([*[width] * len(groups), *words, *self.others.widths], spec)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them; nothing is carried over explicitly."""
        z, candidate = self.interests(batch)
        weighted = (z * self.attention(z, candidate)[:, :, None]).flatten(1)
        numbers = self.others(batch.numeric, batch.hidden)
        members, order = self.target(Row(torch.cat([weighted, candidate], dim=1), numbers))
        said = [
            net(torch.cat([z[:, 0], own, candidate], dim=1))
            for net, own in zip(self.source, z[:, 2:].unbind(1), strict=True)
        ]
        return replace(alone(members, order), source=torch.cat(said, dim=1))

    def interests(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encoded rows → z float[n, 2 + K, width], and the candidate's words float[n, ·]."""
        words = self.rows.categorical(batch.categorical).unflatten(1, (-1, self.dim))
        longterm, *recent = (one(batch.numeric, batch.hidden) for one in self.encodings)
        read = [torch.cat([words[:, self.user].flatten(1), longterm], dim=1), *recent]
        z = [linear(one) for linear, one in zip(self.maps, read, strict=True)]
        return torch.stack(z, dim=1), words[:, self.candidate].flatten(1)

    def attention(self, z: Tensor, candidate: Tensor) -> Tensor:
        """Interests and the candidate's words → weights float[n, 2 + K] that add up to 1."""
        return self.score(torch.cat([z.flatten(1), candidate], dim=1)).softmax(1)


def interests(spec: InputSpec) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Numbers of each interest (long-term, recent in the target, in each source), and the rest."""
    longterm = tuple(name for name in spec.numeric if name.startswith("user_"))
    recent = tuple(name for name in spec.numeric if name.endswith(RECENT))
    others = tuple(name for name in spec.numeric if name not in (*longterm, *recent))
    return [longterm, recent, *spec.source_numeric.values()], others


def _net(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return tower(inputs, (hidden,), 0.0).append(nn.Linear(hidden, outputs))
