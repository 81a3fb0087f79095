"""A model's nets as plain products, with the first layer of all of them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from exit_pipeline.model.embeddings import RowEmbedding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.exit import Exit
from exit_pipeline.model.ipn import TargetInterest
from exit_pipeline.model.single import Features
from exit_pipeline.model.towers import Towers

Layer = tuple[Tensor, Tensor]  # weight float[m, in, out], bias float[m, out]


@dataclass(frozen=True)
class Net:
    """One net, given what its first layer makes of n rows.

    Args:
        members: m.
        layers: The layers between the first and the head.
        head: float[m, out, width], divided by m: the sum of its products is the members' mean.
        bias: float[out], the mean of theirs.
    """

    members: int
    layers: Sequence[Layer]
    head: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> Net:
        """Makes one of all layers after the first."""
        weight, bias = layers[-1]
        m = len(weight)
        head = (weight / m).transpose(1, 2).contiguous()
        return cls(m, layers[:-1], head, bias.mean(0))

    def __call__(self, h: Tensor) -> Tensor:
        """float[n, m · width], after the first layer's ReLU → float[n, out]."""
        h = h.unflatten(1, (self.members, -1)).transpose(0, 1)
        for weight, bias in self.layers:
            h = torch.bmm(h, weight).add_(bias[:, None]).relu_()
        # Transposed, since a product with so few columns is slow: 10 µs rather than 50.
        return torch.bmm(self.head, h.transpose(1, 2)).sum(0).T + self.bias


@dataclass(frozen=True)
class Nets:
    """All nets of a model: the target's, and the sources' and the SSN's where there are such.

    Args:
        weight: float[d, F], first layers side by side, over all inputs of a row: the words'
            C · dim, then the numbers' as `NumericEncoding` has them.
        bias: float[F].
        widths: Of each net's part of F.
        nets: What follows.
    """

    weight: Tensor
    bias: Tensor
    widths: list[int]
    nets: list[Net]

    def __call__(self, h: Tensor) -> list[Tensor]:
        """float[n, F], after ReLU → float[n, out] by net."""
        parts = h.split(self.widths, dim=1)
        return [net(part) for net, part in zip(self.nets, parts, strict=True)]


@torch.inference_mode()
def nets_of(module: nn.Module, encoder: Encoder) -> Nets | None:
    """Takes a model apart; None where its form is not known here."""
    rows = module.rows
    every = torch.arange(sum(rows.widths))
    if isinstance(module, Exit):
        sides = [module.source, module.ssn]
        reads = [every, every, _scene_inputs(rows, encoder)]
        found = [_members(module.target), *(_tower(s.trunk, s.head) for s in sides)]
    elif isinstance(module, Features):
        reads, found = [every], [_members(module.target)]
    elif isinstance(module, Towers):
        sides = [module.source, module.ssn]
        found = [_tower(module.target), *(_tower(s.trunk, s.head) for s in sides)]
        reads = [every[: one[0][0].shape[1]] for one in found]
    else:
        return None
    firsts = [_flat(layers[0]) for layers in found]
    widths = [bias.numel() for _, bias in firsts]
    weight = torch.zeros(len(every), sum(widths))
    for (one, _), at, part in zip(firsts, reads, weight.split(widths, dim=1), strict=True):
        part[at] = one
    bias = torch.cat([bias for _, bias in firsts])
    return Nets(weight, bias, widths, [Net.of(layers[1:]) for layers in found])


def _members(target: TargetInterest) -> list[Layer]:
    """TabM with its two heads side by side."""
    heads = [target.outcome, target.order]
    layers = [(layer.folded(), layer.bias) for layer in target.trunk.layers]
    head = torch.cat([one.weight for one in heads], 2), torch.cat([one.bias for one in heads], 1)
    return [*layers, head]


def _tower(*modules: nn.Module) -> list[Layer]:
    """Linear layers, as those of one member."""
    found = [one for module in modules for one in module.modules() if isinstance(one, nn.Linear)]
    return [(one.weight.T.contiguous()[None], one.bias[None]) for one in found]


def _flat(layer: Layer) -> Layer:
    """float[m, d, out] → float[d, m · out]."""
    weight, bias = layer
    return weight.transpose(0, 1).flatten(1), bias.flatten()


def _scene_inputs(rows: RowEmbedding, encoder: Encoder) -> Tensor:
    """int64[d of the scene]: where the SSN's inputs lie among all inputs."""
    words = len(encoder.spec.categorical) * rows.categorical.tables[0].embedding_dim
    columns, bins = rows.scene.columns, rows.scene.low.shape[1]
    total, wide = rows.numeric.low.shape
    shares = columns[:, None] * wide + torch.arange(bins)
    flags = total * wide + columns
    hidden = total * (wide + 1) + torch.arange(len(encoder.spec.sources))
    return torch.cat(
        [torch.arange(words), *(words + at for at in (shares.flatten(), flags, hidden))]
    )


class Share:
    """What some columns add to the first layer; over all columns it is the first layer.

    Args:
        nets: The model's.
        rows: Its embeddings and bins.
        encoder: Its vocabularies.
        names: The columns.
    """

    def __init__(self, nets: Nets, rows: RowEmbedding, encoder: Encoder, names: set[str]) -> None:
        spec, numeric = encoder.spec, rows.numeric
        self.spec = spec.without([name for name in spec.columns if name not in names])
        self.words = _places(self.spec.categorical, spec.categorical)
        self.numbers = _places(self.spec.numbers, spec.numbers)
        self.low, self.scale = numeric.low[self.numbers], numeric.scale[self.numbers]
        self.tables = [rows.categorical.tables[i].weight.detach() for i in self.words]
        self.vocabularies = [
            {} if len(table) == 1 else {w: i for i, w in enumerate(encoder.vocabularies[name], 1)}
            for table, name in zip(self.tables, self.spec.categorical, strict=True)
        ]
        dim = rows.categorical.tables[0].embedding_dim
        begin, (total, bins) = len(spec.categorical) * dim, numeric.low.shape
        at = self.words[:, None] * dim + torch.arange(dim)
        shares = begin + self.numbers[:, None] * bins + torch.arange(bins)
        flags = begin + total * bins + self.numbers
        self.inputs = torch.cat([at.flatten(), shares.flatten(), flags])
        self.weight = nets.weight[self.inputs]

    def encoded(self, columns: Mapping[str, Sequence]) -> tuple[Tensor, Tensor]:
        """Encodes n values of each column as `Encoder` does: int64[c, n], float32[j, n]."""
        pairs = zip(self.vocabularies, self.spec.categorical, strict=True)
        indices = [[words.get(v, 0) for v in columns[name]] for words, name in pairs]
        numbers = np.array([columns[name] for name in self.spec.numbers], np.float64)
        return torch.tensor(indices, dtype=torch.int64), torch.from_numpy(numbers).float()

    def __call__(self, indices: Tensor, numbers: Tensor) -> Tensor:
        """int64[c, n] and float32[j, n], NaN unknown → float[n, F]."""
        words = [table[at] for table, at in zip(self.tables, indices, strict=True)]
        if not len(numbers):
            return torch.cat(words, dim=1) @ self.weight
        numbers = numbers.T
        unknown = numbers.isnan()
        shares = torch.nan_to_num(numbers)[:, :, None] - self.low
        shares.mul_(self.scale).clamp_(0, 1).masked_fill_(unknown[:, :, None], 0)
        return torch.cat([*words, shares.flatten(1), unknown.float()], dim=1) @ self.weight


def _places(names: Sequence[str], among: Sequence[str]) -> Tensor:
    return torch.tensor([among.index(name) for name in names], dtype=torch.int64)
