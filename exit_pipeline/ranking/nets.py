"""A model's nets as plain products, with the first layer of all of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor, nn

from exit_pipeline.model.embeddings import RowEmbedding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.exit import Exit
from exit_pipeline.model.ipn import SourceInterest, TargetInterest
from exit_pipeline.model.single import Features
from exit_pipeline.model.ssn import ConstantSelector, SceneSelector
from exit_pipeline.model.towers import Towers
from exit_pipeline.ranking.kernels import heads

FORMS = (Exit, Features, Towers)
Layer = tuple[Tensor, Tensor]  # weight float[m, in, out], bias float[m, out]


@dataclass(frozen=True)
class Net:
    """One net, given what its first layer makes of n rows.

    Args:
        members: m.
        width: Of a member's first layer.
        weights: float[m, in, out] of the layers between the first and the head.
        biases: float32[m, out], of the same; 0 where there are none.
        head: float32[m, out, width], divided by m: the sum of its products is the members' mean.
        bias: float32[out], the mean of theirs.
    """

    members: int
    width: int
    weights: Sequence[Tensor]
    biases: Sequence[np.ndarray]
    head: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> Net:
        """Makes one of all layers."""
        (first, _), *between, (weight, bias) = layers
        m, head = len(weight), (weight / len(weight)).transpose(1, 2).contiguous().numpy()
        weights, biases = [w for w, _ in between], [b.numpy() for _, b in between]
        none = [np.zeros((m, first.shape[2]), np.float32)]
        return cls(m, first.shape[2], weights, biases or none, head, bias.mean(0).numpy())

    def __call__(self, first: np.ndarray) -> np.ndarray:
        """float32[m, n, width], after the first layer's ReLU → float32[n, out]."""
        h = first
        for number, weight in enumerate(self.weights):
            if number:
                h = np.maximum(h + self.biases[number - 1][:, None], 0, out=h)
            h = torch.bmm(torch.from_numpy(h), weight).numpy()
        out = np.empty((h.shape[1], len(self.bias)), np.float32)
        heads(h, self.biases[-1], self.head, self.bias, out)
        return out


@dataclass(frozen=True)
class Nets:
    """All nets of a model: the target's, and the sources' and the SSN's where there are such.

    Args:
        weight: float[d, F], first layers side by side, over all inputs of a row: the words'
            C · dim, then the numbers' as `NumericEncoding` has them.
        bias: float[F].
        nets: What follows.
        begins: Where each net's part of F begins.
    """

    weight: Tensor
    bias: Tensor
    nets: list[Net]
    begins: list[int]


@torch.inference_mode()
def nets_of(module: nn.Module, encoder: Encoder) -> Nets | None:
    """Takes a model apart; None where its form is not known here."""
    if not isinstance(module, FORMS):
        return None
    rows: RowEmbedding = module.rows
    every = torch.arange(sum(rows.widths))
    if isinstance(module, Exit):
        reads = [every, every, _scene_inputs(rows, encoder)]
        found = [_members(module.target), _side(module.source)]
        found.append(_selector(module.ssn, len(reads[2])))
    elif isinstance(module, Towers):
        found = [_tower(module.target), _side(module.source), _side(module.ssn)]
        reads = [every[: one[0][0].shape[1]] for one in found]
    else:
        reads, found = [every], [_members(module.target)]
    firsts = [_flat(layers[0]) for layers in found]
    widths = [bias.numel() for _, bias in firsts]
    begins = [end - width for end, width in zip(accumulate(widths), widths, strict=True)]
    weight = torch.zeros(len(every), sum(widths))
    for (one, _), at, part in zip(firsts, reads, weight.split(widths, dim=1), strict=True):
        part[at] = one
    bias = torch.cat([bias for _, bias in firsts])
    return Nets(weight, bias, [Net.of(layers) for layers in found], begins)


def _members(target: TargetInterest) -> list[Layer]:
    """TabM with its two heads side by side."""
    both = [target.outcome, target.order]
    weight, bias = (torch.cat([getattr(h, n) for h in both], dim=-1) for n in ("weight", "bias"))
    layers = [(layer.folded(), layer.bias) for layer in target.trunk.layers]  # type: ignore[operator]
    return [*layers, (weight, bias)]  # type: ignore[list-item]


def _side(net: SourceInterest | SceneSelector) -> list[Layer]:
    return _tower(net.trunk, net.head)


def _selector(ssn: nn.Module, inputs: int) -> list[Layer]:
    """A constant is a net of one unit that reads nothing and tells nothing but its bias."""
    if isinstance(ssn, SceneSelector):
        return _side(ssn)
    assert isinstance(ssn, ConstantSelector)
    nothing = torch.zeros(1, 1, len(ssn.logit))
    return [(torch.zeros(1, inputs, 1), torch.zeros(1, 1)), (nothing, ssn.logit[None])]


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
    words = len(encoder.spec.categorical) * rows.widths[0]
    columns, bins = rows.scene.columns, int(rows.scene.low.shape[1])
    total, wide = rows.numeric.low.shape
    shares = columns[:, None] * wide + torch.arange(bins)
    flags = total * wide + columns
    hidden = total * (wide + 1) + torch.arange(len(encoder.spec.sources))
    return torch.cat(
        [torch.arange(words), *(words + at for at in (shares.flatten(), flags, hidden))]
    )
