"""Embeddings of categorical and numeric inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exit_pipeline.model.encoders import IDS, Encoder


class CategoricalEmbedding(nn.Module):
    """One table per column; row 0 is the unknown value's.

    In training, ids are hidden at random, so that the unknown row learns what to say of a user or
    item never seen, and the rest of the network does not lean on ids alone (ours).

    Args:
        encoder: Vocabularies.
        dim: Width.
        id_dropout: Share of ids hidden.
    """

    hidden: Tensor

    def __init__(self, encoder: Encoder, dim: int, id_dropout: float) -> None:
        super().__init__()
        tables = [nn.Embedding(size, dim) for size in encoder.sizes()]
        for table in tables:
            nn.init.normal_(table.weight, std=0.05)
        self.tables = nn.ModuleList(tables)
        columns = encoder.spec.categorical
        hidden = torch.tensor([id_dropout if name in IDS else 0.0 for name in columns])
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(self, indices: Tensor) -> Tensor:
        """int64[n, C] → float[n, C, dim]."""
        if self.training:
            draw = torch.rand(indices.shape, device=indices.device)
            indices = torch.where(draw < self.hidden, torch.zeros_like(indices), indices)
        embedded = [table(indices[:, i]) for i, table in enumerate(self.tables)]
        return torch.stack(embedded, dim=1)


class NumericEmbedding(nn.Module):
    """Piecewise-linear embeddings over quantile bins, with a vector of its own for «unknown».

    A number x in bins with edges e is the vector of clamp((x − e_b) / (e_{b+1} − e_b), 0, 1) over
    bins b, times a matrix per column (after Gorishniy et al. 2022, arXiv 2203.05556).

    Args:
        encoder: Bin edges.
        names: The columns, in the batch's order.
        dim: Width.
    """

    low: Tensor
    width: Tensor

    def __init__(self, encoder: Encoder, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        bins = max((len(encoder.edges[name]) - 1 for name in names), default=1)
        low, width = torch.zeros(len(names), bins), torch.full((len(names), bins), torch.inf)
        for row, name in enumerate(names):
            edges = torch.tensor(encoder.edges[name])
            low[row, : len(edges) - 1] = edges[:-1]
            width[row, : len(edges) - 1] = edges.diff()
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("width", width, persistent=False)
        self.weight = nn.Parameter(torch.randn(len(names), bins, dim) * bins**-0.5)
        self.unknown = nn.Parameter(torch.randn(len(names), dim) * 0.05)
        self.bias = nn.Parameter(torch.zeros(len(names), dim))

    def forward(self, numbers: Tensor) -> Tensor:
        """float[n, M] with NaN for unknown → float[n, M, dim]."""
        known = ~torch.isnan(numbers)
        filled = torch.nan_to_num(numbers)
        shares = ((filled[:, :, None] - self.low) / self.width).clamp(0, 1)
        said = torch.einsum("nmb,mbd->nmd", shares, self.weight)
        return self.bias + torch.where(known[:, :, None], torch.relu(said), self.unknown)
