"""The baseline PEPNet: gates that scale embeddings by the scene, and layers by user and item."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exit_pipeline.model.backbone import TabM
from exit_pipeline.model.base import Model
from exit_pipeline.model.embeddings import NumericEncoding
from exit_pipeline.model.encoders import IDS, Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.tasks import TaskHeads
from exit_pipeline.profile.learning import ModelSpec


class PEPNet(Model):
    """Parameter and embedding personalized network (Chang et al. 2023, arXiv 2302.01115).

    EPNet: E' = δ ⊗ E with δ = gate(unit, group statistics; E). PPNet: H_l = δ_l ⊗ φ(W_l H_{l−1})
    with δ_l of each task by gate(user, item; E').
    Adapted: the scene is what the paper calls a domain. User and item are their ids and, since ids
    may be hidden from everyone (`id_dropout`), their own rates. Tasks share the layers' weights,
    where the paper has a tower for each, and differ by their gates and heads: K more towers of TabM
    would cost more than all the rest. Encoded numbers are not embeddings and are not scaled.

    Args:
        encoder: Vocabularies and bins.
        spec: Form and size.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        columns, dim = encoder.spec.categorical, spec.embedding_dim
        self.dim = dim
        self.unit = [columns.index(encoder.unit)]
        self.ids = [i for i, name in enumerate(columns) if name in IDS]
        words, gate = len(columns) * dim, spec.side_hidden[-1]
        scene = dim + sum(self.rows.scene.widths)
        numbers = encoder.spec.numbers
        own = tuple(name for name in numbers if name.startswith(("user_", "item_")))
        self.own = NumericEncoding(encoder, own)
        prior = len(self.ids) * dim + sum(self.own.widths)
        self.embedding_gate = Gate(scene + words, gate, words)
        self.layer_gates = nn.ModuleList(
            Gate(prior + words, gate, sum(spec.hidden)) for _ in range(1 + self.sources)
        )
        self.trunk = GatedTabM(self.rows.widths, spec.hidden, spec.members, spec.dropout)
        self.heads = TaskHeads(self.trunk.width, self.sources, spec.members)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        row = self.rows(batch, batch.hidden)
        statistics = self.rows.of_scene(row, batch, batch.hidden).numbers
        scene = torch.cat([self._words(row.words, self.unit), statistics], dim=1)
        words = row.words * self.embedding_gate(scene, row.words)
        own = self.own(batch.numeric, batch.hidden)
        prior = torch.cat([self._words(row.words, self.ids), own], dim=1)
        gates = [gate(prior, words) for gate in self.layer_gates]
        return self.heads(self.trunk.by_task((words, row.numbers), gates))

    def _words(self, words: Tensor, columns: list[int]) -> Tensor:
        """Some columns' embeddings, side by side."""
        return words.unflatten(1, (-1, self.dim))[:, columns].flatten(1)


class Gate(nn.Module):
    """The paper's gate: 2 · σ(W' ReLU(W [prior, x])), and no gradient goes on through x.

    Factors lie in (0, 2); a logit of zero leaves things as they are.

    Args:
        inputs: Width of the prior and x.
        hidden: Width between.
        outputs: Number of factors.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, prior: Tensor, x: Tensor) -> Tensor:
        """float[n, ·] each → factors float[n, outputs]."""
        return 2 * self.layers(torch.cat([prior, x.detach()], dim=1)).sigmoid()


class GatedTabM(TabM):
    """TabM with factors on the units of each layer, which differ by task."""

    def by_task(self, parts: tuple[Tensor, ...], gates: list[Tensor]) -> list[Tensor]:
        """Inputs side by side, and each task's float[n, Σ widths] → its float[m, n, width]."""
        first, *rest = self.layers
        shared = self._end(first(*parts))
        said = []
        for gate in gates:
            factor, *factors = gate.split([layer.out_features for layer in self.layers], dim=1)
            h = shared * factor
            for layer, factor in zip(rest, factors, strict=True):
                h = self._end(layer(h)) * factor
            said.append(h)
        return said
