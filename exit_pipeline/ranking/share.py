"""What groups of columns add to a model's first layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from exit_pipeline.errors import ModelFileError
from exit_pipeline.features.inputs import context_columns, interest_columns, view_columns
from exit_pipeline.model.embeddings import RowEmbedding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.curves import Curves
from exit_pipeline.ranking.kernels import add_rows

FEW = 256  # rows of an embedding table


class Share:
    """What some columns add to the first layer; over all columns it is the first layer.

    Args:
        weight: float[d, F], over all inputs of a row.
        rows: The model's embeddings and bins.
        encoder: Its vocabularies.
        names: The columns.
    """

    def __init__(
        self, weight: Tensor, rows: RowEmbedding, encoder: Encoder, names: set[str]
    ) -> None:
        spec, dim = encoder.spec, rows.widths[0]
        self.spec = spec.without([name for name in spec.columns if name not in names])
        self.words = places(self.spec.categorical, spec.categorical)
        self.numbers = places(self.spec.numbers, spec.numbers)
        tables = [rows.categorical.tables[i].weight.detach() for i in self.words]
        self.vocabularies = [
            {} if len(table) == 1 else {w: i for i, w in enumerate(encoder.vocabularies[name], 1)}
            for table, name in zip(tables, self.spec.categorical, strict=True)
        ]
        begin, (total, bins) = len(spec.categorical) * dim, rows.numeric.low.shape
        of_words = self.words[:, None] * dim + np.arange(dim)
        of_bins = begin + (self.numbers[:, None] * bins + np.arange(bins)).ravel()
        self.inputs = np.concatenate(
            [of_words.ravel(), of_bins, begin + total * bins + self.numbers]
        )
        # What a word of few adds is multiplied out here, of many when it is asked for.
        self.few = [c for c, table in enumerate(tables) if len(table) <= FEW]
        added = [(tables[c] @ weight[of_words[c]]).numpy() for c in self.few]
        self.first = np.cumsum([0, *map(len, added)])[:-1]
        self.added = np.concatenate([np.empty((0, weight.shape[1]), np.float32), *added])
        self.many = [
            (c, table.numpy(), weight[of_words[c]])
            for c, table in enumerate(tables) if len(table) > FEW
        ]  # fmt: skip
        self.curves = Curves(weight[begin:], rows.numeric, self.numbers, [len(self.numbers)])

    def __bool__(self) -> bool:
        return bool(self.spec.columns)

    def encoded(self, columns: Mapping[str, Sequence], n: int) -> tuple[np.ndarray, np.ndarray]:
        """Encodes n values of each column as `Encoder` does: int64[n, c], float32[n, j]."""
        pairs = zip(self.vocabularies, self.spec.categorical, strict=True)
        indices = [[words.get(v, 0) for v in columns[name]] for words, name in pairs]
        numbers = [columns[name] for name in self.spec.numbers]
        return (
            np.array(indices, np.int64).reshape(-1, n).T.copy(order="C"),
            np.array(numbers, np.float64).reshape(-1, n).T.astype(np.float32, order="C"),
        )

    def add(self, indices: np.ndarray, numbers: np.ndarray, out: np.ndarray) -> None:
        """Adds to float32[n, F] what int64[n, c] and float32[n, j], NaN unknown, say.

        As `RowEmbedding` has it with no source hidden.
        """
        if self.few:
            rows = np.ascontiguousarray(indices[:, self.few] + self.first)
            add_rows(self.added, rows, out)
        for column, table, weight in self.many:
            out += (torch.from_numpy(table[indices[:, column]]) @ weight).numpy()
        if len(self.numbers):
            self.curves.add(numbers, out[:, None])


def parts(spec: ProfileSpec, columns: Sequence[str]) -> dict[str, set[str]]:
    """Says which of the model's columns are about items, groups, interest in a unit, the rest.

    Raises:
        ModelFileError: A column is none of the profile's.
    """
    views, domains = view_columns(spec), (spec.target, *spec.sources)
    interest = [name for domain in domains for name in interest_columns(domain)]
    activity = {f"{domain}_activity" for domain in domains}
    parts = {
        "item": {"item_id", "unit", *views["item_features"]},
        "group": set(views["scene_features"]),
        "state": set(interest) - activity,
        "request": {"user_id", "position", *views["user_features"], *context_columns(spec)}
        | activity,
    }
    unknown = [name for name in columns if not any(name in part for part in parts.values())]
    if unknown:
        raise ModelFileError(
            f"the model reads columns that the profile does not have: {', '.join(unknown)}",
            where="a model trained under an earlier profile",
            mend="bring the columns back, or train a model under this profile",
        )
    return parts


def places(names: Sequence[str], among: Sequence[str]) -> np.ndarray:
    """int64[n]: where some names stand among others."""
    return np.array([among.index(name) for name in names], np.int64)
