"""What numbers add to a first layer, read off curves instead of multiplied out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from exit_pipeline.model.embeddings import NumericEncoding
from exit_pipeline.ranking.kernels import add_curves


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
        total, bins = numeric.low.shape
        self.low, self.scale = numeric.low.numpy()[columns], numeric.scale.numpy()[columns]
        by_bin = weight[: total * bins].unflatten(0, (total, bins))[columns]
        sums = F.pad(by_bin.double().cumsum(1), (0, 0, 1, 0)).to(weight.dtype)
        flags = weight[total * bins :][columns]
        # Of each column what unknown adds, then what 0, 1, … full bins do.
        table = np.concatenate([flags[:, None].numpy(), sums.numpy()], axis=1)
        self.table = np.ascontiguousarray(table)
        self.part, self.parts = np.repeat(np.arange(len(counts)), counts), len(counts)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """float32[n, j], NaN unknown → float32[n, parts, F]."""
        out = np.zeros((len(numbers), self.parts, self.table.shape[2]), np.float32)
        self.add(numbers, out)
        return out

    def add(self, numbers: np.ndarray, out: np.ndarray) -> None:
        """Adds the same to `out`."""
        add_curves(numbers, self.low, self.scale, self.table, self.part, out)
