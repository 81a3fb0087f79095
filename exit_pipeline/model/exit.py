"""EXIT: own interest plus what each source carries over in this scene."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exit_pipeline.model.embeddings import CategoricalEmbedding, NumericEmbedding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.ipn import InterestPrediction
from exit_pipeline.model.ssn import SceneSelector
from exit_pipeline.profile.learning import ModelSpec

# P_whole of `sum` lies in [0, 2]; a margin keeps its logit finite (the paper truncates it online).
MARGIN = 1e-4
# Before κ: at first, interest that is sure and wholly transfers moves the logit by softplus(2).
FIRST_STRENGTH = 2.0


class Exit(nn.Module):
    """The model (paper, outline; combination `carry` is ours).

    `carry`: P = σ(z_t + Σ_k κ_k[c] · p_s,k · p_tr,k), κ ≥ 0 by softplus, one per source and unit.
    `sum`: P_whole = p_t + max_k p_s,k · p_tr,k, truncated to [0, 2] less a margin.

    Args:
        encoder: Vocabularies and bins.
        spec: Form and size.
    """

    reads_sources = True

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__()
        columns, sources = encoder.spec, encoder.spec.sources
        self.combination = spec.combination
        self.categorical = CategoricalEmbedding(encoder, spec.embedding_dim, spec.id_dropout)
        self.numeric = NumericEmbedding(encoder, columns.numbers, spec.numeric_dim)
        words = len(columns.categorical) * spec.embedding_dim
        numbers = len(columns.numbers) * spec.numeric_dim
        scene = _scene_columns(columns.numbers, sources)
        self.register_buffer("scene", torch.tensor(scene, dtype=torch.long), persistent=False)
        self.ipn = InterestPrediction(words + numbers, len(sources), spec)
        self.ssn = SceneSelector(words + len(scene) * spec.numeric_dim, len(sources), spec)
        self.unit = columns.categorical.index(encoder.unit)
        self.strength = nn.Embedding(encoder.sizes()[self.unit], len(sources))
        nn.init.constant_(self.strength.weight, FIRST_STRENGTH)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        words = self.categorical(batch.categorical).flatten(1)
        numbers = self.numeric(batch.numeric)
        own, order, source, aside = self.ipn(torch.cat([words, numbers.flatten(1)], dim=1))
        transfer = self.ssn(torch.cat([words, numbers[:, self.scene].flatten(1)], dim=1))
        carried = source.sigmoid() * transfer.sigmoid()
        if self.combination == "sum":
            return _summed(own, order, source, aside, transfer, carried)
        carry = F.softplus(self.strength(batch.categorical[:, self.unit])) * carried
        return Outputs(own + carry.sum(1), own, carry, own, source, transfer, order, aside)


def _summed(
    target: Tensor, order: Tensor, source: Tensor, aside: Tensor, transfer: Tensor, carried: Tensor
) -> Outputs:
    """The source that carries most moves the logit from where target interest alone puts it."""
    whole = target.sigmoid() + carried.amax(1)
    logit, own = _half_logit(whole), _half_logit(target.sigmoid())
    carry = F.one_hot(carried.argmax(1), carried.shape[1]) * (logit - own)[:, None]
    return Outputs(logit, own, carry, target, source, transfer, order, aside, whole)


def _half_logit(whole: Tensor) -> Tensor:
    return torch.logit((whole / 2).clamp(MARGIN, 1 - MARGIN))


def _scene_columns(numbers: tuple[str, ...], sources: tuple[str, ...]) -> list[int]:
    """Where group statistics stand among the numbers: the SSN reads those, not what users did."""
    groups = {"group_shown", "group_rate"}
    groups |= {f"{part}_{s}" for s in sources for part in ("support", "lift", "carries")}
    return [index for index, name in enumerate(numbers) if name in groups]
