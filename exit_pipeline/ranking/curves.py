"""What numbers add to a first layer, read off curves instead of multiplied out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from exit_pipeline.model.embeddings import NumericEncoding

MOST = float(np.finfo(np.float32).max)


class Curves:
    """A layer that is linear in the encoding of a number is piecewise linear in the number (ours).

    A number fills its bins one after the other, so what it adds is the sum of the weights of those
    that are full and a share of the next one's: a place between two rows of a table of running
    sums. Two rows are read where a product reads one for each bin.

    Args:
        weight: float[d, F], over the encoding as `NumericEncoding` has it, words left out.
        numeric: The encoding.
        columns: int64[j], which of its numbers.
        counts: How many of them, in turn, belong to each part that is summed; they add up to j.
    """

    def __init__(
        self, weight: Tensor, numeric: NumericEncoding, columns: np.ndarray, counts: Sequence[int]
    ) -> None:
        low, scale = numeric.low.numpy(), numeric.scale.numpy()
        total, self.bins = low.shape
        self.low, self.scale = low[columns], scale[columns]
        by_bin = weight[: total * self.bins].unflatten(0, (total, self.bins))[columns]
        sums = F.pad(by_bin.double().cumsum(1), (0, 0, 1, 0)).to(weight.dtype)
        flags = weight[total * self.bins :][columns]
        # Of each column what unknown adds, then what 0, 1, … full bins do.
        self.table = torch.cat([flags[:, None], sums], dim=1).flatten(0, 1)
        self.first = np.arange(len(columns)) * (self.bins + 2)
        self.begins = 2 * np.cumsum([0, *counts[:-1]])

    def __call__(self, numbers: np.ndarray) -> Tensor:
        """float32[n, j], NaN unknown → float[n, parts, F]."""
        n, j = numbers.shape
        unknown = np.isnan(numbers)
        # Without the checks of `np.clip`, which cost more than the work.
        finite = np.minimum(np.maximum(numbers, -MOST), MOST)
        finite[unknown] = 0
        with np.errstate(over="ignore"):  # what is far out of the bins is cut off
            shares = (finite[:, :, None] - self.low) * self.scale
        filled = np.minimum(np.maximum(shares, 0, out=shares), 1, out=shares).sum(2)
        full = np.minimum(filled.astype(np.int64), self.bins - 1)
        rest = filled - full
        full += 1
        full[unknown], rest[unknown] = 0, 0
        rows, much = np.empty((n, j, 2), np.int64), np.empty((n, j, 2), np.float32)
        rows[:, :, 0] = self.first + full
        np.add(rows[:, :, 0], 1, out=rows[:, :, 1])
        much[:, :, 1] = rest
        np.subtract(1, rest, out=much[:, :, 0])
        begins = (np.arange(n)[:, None] * (2 * j) + self.begins).ravel()
        found = F.embedding_bag(
            torch.from_numpy(rows.ravel()), self.table, torch.from_numpy(begins), mode="sum",
            per_sample_weights=torch.from_numpy(much.ravel()),
        )  # fmt: skip
        return found.unflatten(0, (n, -1))
