"""A row's inputs as the networks read them: embedded ids and attributes, encoded numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from exit_pipeline.model.encoders import IDS, Encoder
from exit_pipeline.model.inputs import Batch, InputSpec
from exit_pipeline.profile.learning import ModelSpec


@dataclass(frozen=True)
class Row:
    """n rows in two parts.

    Args:
        words: float[n, C · dim], embeddings: gradients go through them.
        numbers: float[n, M · (bins + 1) + K], encoded numbers, and which sources are hidden.
    """

    words: Tensor
    numbers: Tensor

    def joined(self, gradient: float = 1.0) -> Tensor:
        """Both side by side; the embeddings get a share of the gradient."""
        words = self.words.detach()
        if gradient:
            words = words + gradient * (self.words - words)
        return torch.cat([words, self.numbers], dim=1)


class RowEmbedding(nn.Module):
    """What every model reads: the whole row, or what concerns the scene.

    Args:
        encoder: Vocabularies and bins.
        spec: Widths.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__()
        columns = encoder.spec
        self.categorical = CategoricalEmbedding(
            encoder, spec.embedding_dim, spec.id_dropout, spec.value_dropout
        )
        numbers = columns.numbers
        self.numeric = NumericEncoding(encoder, numbers)
        self.scene = NumericEncoding(encoder, scene_columns(numbers, columns.sources))
        words = [spec.embedding_dim] * len(columns.categorical)
        self.widths = [*words, *self.numeric.widths]
        self.scene_widths = [*words, *self.scene.widths]

    def forward(self, batch: Batch, hidden: Tensor) -> Row:
        """Encoded rows → all that they say; `hidden` is bool[n, K], sources not to be seen."""
        words = self.categorical(batch.categorical)
        return Row(words, self.numeric(batch.numeric, hidden))

    def to_share(self, row: Row, share: Tensor) -> Row:
        """Returns the same rows with each source seen to a share of float[n, K] in [0, 1]."""
        return Row(row.words, self.numeric.to_share(row.numbers, share))

    def of_scene(self, row: Row, batch: Batch, hidden: Tensor) -> Row:
        """Returns ids, categorical attributes, context and group statistics of the same rows."""
        return Row(row.words, self.scene(batch.numeric, hidden))


# Of positions: when scoring nobody knows one, so half of training must do without.
POSITION, POSITION_HIDDEN = "position", 0.5


class CategoricalEmbedding(nn.Module):
    """One table per column; row 0 is the unknown value's.

    In training, values are hidden at random, so that the unknown row learns what to say of a user,
    item, brand or place never seen, and the rest of the network does not lean on ids alone (ours).
    Where all ids are hidden, they are when scoring too: what is known of a user or item are its
    rates alone.

    Args:
        encoder: Vocabularies.
        dim: Width.
        id_dropout: Share of ids hidden.
        value_dropout: Share of all other values hidden.
    """

    hidden: Tensor

    def __init__(self, encoder: Encoder, dim: int, id_dropout: float, value_dropout: float) -> None:
        super().__init__()
        columns = encoder.spec.categorical
        never = [id_dropout == 1 and name in IDS for name in columns]
        # What is never read needs no row but the unknown's.
        tables = [
            nn.Embedding(1 if hidden else size, dim)
            for hidden, size in zip(never, encoder.sizes(), strict=True)
        ]
        for table in tables:
            nn.init.normal_(table.weight, std=0.5)
        self.tables = nn.ModuleList(tables)
        hidden = torch.tensor([id_dropout if name in IDS else value_dropout for name in columns])
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(self, indices: Tensor) -> Tensor:
        """int64[n, C] → float[n, C · dim]."""
        if self.training:
            away = torch.rand(indices.shape, device=indices.device) < self.hidden
        else:
            away = self.hidden == 1
        indices = torch.where(away, torch.zeros_like(indices), indices)
        return torch.cat([table(indices[:, i]) for i, table in enumerate(self.tables)], dim=1)


class NumericEncoding(nn.Module):
    """Piecewise-linear encoding over quantile bins (Gorishniy et al. 2022, eq. 1).

    A number x in bins with edges e is the vector of clamp((x − e_b) / (e_{b+1} − e_b), 0, 1) over
    bins b. The embeddings of arXiv 2203.05556, section 3.4, are folded into the first layer: no
    gradient reaches the numbers. Unknown is zeros and a one beside them; everything of a hidden
    source is zeros and a one of the source's own (ours), whose weights are what the network takes
    “no source interest” to mean. A position is unknown whenever a row is scored, in evaluation as
    in the service.

    Args:
        encoder: Bin edges, and which columns are whose.
        names: The columns to encode, of the batch's.
    """

    low: Tensor
    scale: Tensor
    columns: Tensor
    owner: Tensor

    def __init__(self, encoder: Encoder, names: tuple[str, ...]) -> None:
        super().__init__()
        edges = [torch.tensor(encoder.edges[name]) for name in names]
        bins = max((len(one) - 1 for one in edges), default=1)
        low, scale = torch.zeros(len(names), bins), torch.zeros(len(names), bins)
        for at, one in enumerate(edges):
            low[at, : len(one) - 1] = one[:-1]
            scale[at, : len(one) - 1] = (1 / one.diff()).clamp(max=1e30)
        numbers = encoder.spec.numbers
        self._keep("low", low)
        self._keep("scale", scale)
        places = [numbers.index(name) for name in names]
        owners = [_owner(encoder, name) for name in names]
        self._keep("columns", torch.tensor(places, dtype=torch.int64))
        self._keep("owner", torch.tensor(owners, dtype=torch.int64))
        self.position = names.index(POSITION) if POSITION in names else None
        sources = len(encoder.spec.sources)
        self.widths = [*[bins] * len(names), *[1] * (len(names) + sources)]

    def _keep(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values, persistent=False)

    def forward(self, numbers: Tensor, hidden: Tensor) -> Tensor:
        """Encodes n rows.

        Args:
            numbers: float[n, M of the batch], NaN for unknown.
            hidden: bool[n, K].

        Returns:
            float[n, M · bins + M + K]: encodings, unknown or not, hidden or not.
        """
        numbers = numbers[:, self.columns]
        unknown = torch.isnan(numbers)
        if self.position is not None:
            draw = torch.rand(len(numbers), device=numbers.device)
            unknown[:, self.position] |= (draw < POSITION_HIDDEN) | (not self.training)
        shares = torch.nan_to_num(numbers)[:, :, None] - self.low
        shares = shares.mul_(self.scale).clamp_(0, 1)
        everyone = torch.cat([hidden.new_zeros(len(hidden), 1), hidden], dim=1)
        away = everyone[:, self.owner]
        shares.masked_fill_((unknown | away)[:, :, None], 0)
        flags = torch.cat([unknown & ~away, hidden], dim=1)
        return torch.cat([shares.flatten(1), flags.to(shares.dtype)], dim=1)

    def to_share(self, coded: Tensor, share: Tensor) -> Tensor:
        """Goes from what rows say, at a share of 1, to the same rows with sources hidden, at 0.

        Args:
            coded: As `forward` returns it.
            share: float[n, K].
        """
        columns, bins = self.low.shape
        by_column = torch.cat([torch.ones_like(share[:, :1]), share], dim=1)[:, self.owner]
        shares = coded[:, : columns * bins].unflatten(1, (columns, bins)) * by_column[:, :, None]
        unknown = coded[:, columns * bins : columns * (bins + 1)] * by_column
        hidden = 1 - (1 - coded[:, columns * (bins + 1) :]) * share
        return torch.cat([shares.flatten(1), unknown, hidden], dim=1)


def _owner(encoder: Encoder, name: str) -> int:
    """The source of a column, counted from 1; 0 for the target's own."""
    owners = [k + 1 for k, c in enumerate(encoder.spec.source_numeric.values()) if name in c]
    return owners[0] if owners else 0


def scene_columns(numbers: tuple[str, ...], sources: tuple[str, ...]) -> tuple[str, ...]:
    """Group statistics among the numbers: the SSN reads those, not what users did."""
    groups = {"group_shown", "group_rate"}
    groups |= {f"{part}_{s}" for s in sources for part in ("support", "lift", "carries")}
    return tuple(name for name in numbers if name in groups)


def source_columns(spec: InputSpec, form: str) -> list[int]:
    """Where a number that each source has stands among all, by its name; none if one lacks it."""
    names = [form.format(source) for source in spec.sources]
    missing = any(name not in spec.numbers for name in names)
    return [] if missing else [spec.numbers.index(name) for name in names]
