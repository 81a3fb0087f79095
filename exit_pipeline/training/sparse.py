"""Gradients and updates of the embedding rows that a batch touched, and of no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# A row whose gradient has been nothing so far stays where it is.
TINY = 1e-20


class RowwiseAdagrad(torch.optim.Optimizer):
    """Adagrad with one accumulator per row (Duchi et al. 2011; a mean over the row, as in DLRM).

    For a touched row w with gradient g, summed over the batch: v ← v + mean(g²), w ← w − η g / √v.
    Adam moves every row of a table at each step, so that a step costs what the table does.

    Args:
        params: Tables, float[rows, dim], whose gradients are sparse.
        lr: η.
    """

    def __init__(self, params: list[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, table.grad, self.state[table], group["lr"])

    def _update(self, table: Tensor, sparse: Tensor, state: dict[str, Any], rate: float) -> None:
        if not state:
            state["square"] = table.new_zeros(len(table))
        rows, gradient = unique_rows(sparse)
        square = state["square"].index_select(0, rows).add_(gradient.square().mean(1))
        state["square"].index_copy_(0, rows, square)
        step = gradient.mul_((square + TINY).rsqrt_().mul_(-rate)[:, None])
        table.index_copy_(0, rows, table.index_select(0, rows).add_(step))


def unique_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Sums what a sparse gradient holds of the same row.

    Args:
        gradient: Of shape [rows, dim], not coalesced: n pairs of a row and float[dim].

    Returns:
        int64[u] rows, rising, and float[u, dim].
    """
    indices, values = gradient._indices()[0], gradient._values()
    rows, order = _sorted(indices)
    begins = torch.ones_like(rows, dtype=torch.bool)
    torch.ne(rows[1:], rows[:-1], out=begins[1:])
    first = begins.nonzero()[:, 0]
    # A bag per row: one pass in a fixed order, four times as fast as index_add_ on a CPU.
    return rows[first], F.embedding_bag(order, values, first, mode="sum")


def _sorted(indices: Tensor) -> tuple[Tensor, Tensor]:
    """A stable sort: values and where they stood. numpy's is eight times as fast on a CPU."""
    if indices.device.type != "cpu":
        return torch.sort(indices, stable=True)
    n = len(indices)
    bits = n.bit_length()
    packed = np.sort((indices.numpy() << bits) | np.arange(n))
    return torch.from_numpy(packed >> bits), torch.from_numpy(packed & ((1 << bits) - 1))


def sparse_tables(model: nn.Module) -> dict[str, Tensor]:
    """Lets every embedding table of a model have sparse gradients; returns the tables by name."""
    found: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            module.sparse = True
            found[f"{name}.weight"] = module.weight
    return found


def densify(table: Tensor) -> None:
    """Makes a sparse gradient dense; eight times as fast as torch's own dense gradient on a CPU."""
    if table.grad is not None and table.grad.is_sparse:
        rows, sums = unique_rows(table.grad)
        table.grad = torch.zeros_like(table).index_copy_(0, rows, sums)
