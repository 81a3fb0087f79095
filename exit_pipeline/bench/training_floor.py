"""What the reference configuration cannot cost less than: its products and its embedding rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from exit_pipeline.bench.measure import Best
from exit_pipeline.bench.training_data import SIZES, draw
from exit_pipeline.bench.training_peers import BATCH, DIM, EXPERT, HEAD
from exit_pipeline.training.step import uses_bf16

SQUARE = 2048
# Rates are best where they are highest; a slow run would make a floor that is none.
BEST: dict[str, Best] = {
    "fp32": max, "bf16": max, "gflops_fp32": max, "gflops_bf16": max, "rows_ms": min
}  # fmt: skip


def floor() -> dict[str, Any]:
    """Rows per CPU ms in each precision: FLOP at the measured peak, and rows there and back.

    A weight costs six FLOP a row: two forward, two for its gradient, two for its input's. The peak
    is that of a product of square matrices; the rows of a batch are gathered once and written once.
    A processor without units for bf16 has no such rate, and would take minutes to show it.
    """
    torch.set_num_threads(1)
    flop = 6 * weights() * BATCH
    moved = _rows_moved()
    peaks = {"fp32": _peak(torch.float32)}
    if uses_bf16("auto", torch.device("cpu")):
        peaks["bf16"] = _peak(torch.bfloat16)
    rates = {name: BATCH / (flop / peak + moved) / 1000 for name, peak in peaks.items()}
    told = {f"gflops_{name}": round(peak / 1e9, 1) for name, peak in peaks.items()}
    return {**rates, **told, "rows_ms": moved * 1000, "kflop_per_row": flop / BATCH / 1000}


def weights() -> int:
    """Weights in the towers' and SSN's layers, heads left out."""
    width = len(SIZES) * DIM
    first, second = EXPERT
    return 2 * (width * first + first * second) + width * HEAD[0]


def _peak(kind: torch.dtype) -> float:
    a, b = (torch.randn(SQUARE, SQUARE).to(kind) for _ in range(2))
    out = torch.empty(SQUARE, SQUARE, dtype=kind)
    return 2 * SQUARE**3 / _least(lambda: torch.mm(a, b, out=out), 4)


def _rows_moved() -> float:
    """CPU seconds a batch; each time the rows of another one, or they would lie in the cache."""
    rng = np.random.default_rng(0)
    batches = [[torch.from_numpy(i).long() for i in draw(rng, SIZES, BATCH)] for _ in range(40)]
    tables = [torch.zeros(size, DIM) for size in SIZES]

    def there_and_back() -> None:
        for rows in batches:
            for table, at in zip(tables, rows, strict=True):
                table.index_copy_(0, at, table.index_select(0, at))

    return _least(there_and_back, 1) / len(batches)


def _least(work: Callable[[], Any], times: int) -> float:
    """CPU seconds of one call: the least mean of five rounds."""
    means = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            work()
        means.append((time.process_time() - started) / times)
    return min(means)
