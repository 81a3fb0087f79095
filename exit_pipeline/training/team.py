"""Processes that train one model together: who reads which rows, and what they add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from exit_pipeline.training.sparse import unique_rows

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Team:
    """This process among those of a training; each has the same weights after each step.

    Args:
        rank: Its number, from 0.
        size: How many there are.
        device: Where they train; what they tell each other is there meanwhile.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    def part(self, n: int) -> slice:
        """Which of n rows are this process's: a part of their order."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def seed(self, seed: int, epoch: int) -> None:
        """Draws other random numbers in each process, whatever was drawn before; alone nothing."""
        if self.size > 1:
            drawn = np.random.SeedSequence([seed, epoch, self.rank]).generate_state(1)
            torch.manual_seed(int(drawn[0]))

    def of(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of a batch's rows; one of weight 0 where it would get none."""
        mine = rows[self.part(len(rows))]
        return mine if len(mine) else rows[:1]

    def weight(self, rows: int) -> float:
        """What this process's part of a batch counts, so that each of its rows counts alike."""
        if self.size == 1:
            return 1.0
        mine = self.part(rows)
        return self.size * (mine.stop - mine.start) / rows

    def mean(self, value: float) -> float:
        """The mean of what each process has."""
        if self.size == 1:
            return value
        found = torch.tensor([value], dtype=torch.float64, device=self.device)
        return float(self.sum_(found)) / self.size

    def wrapped(self, model: nn.Module, tables: Sequence[str]) -> nn.Module:
        """Has gradients averaged as they are made, but for those of tables (see `average`)."""
        if self.size == 1:
            return model
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, list(tables))
        return DistributedDataParallel(model, forward_sync_buffers=False)

    def average(self, dense: Sequence[Tensor], sparse: Sequence[Tensor]) -> None:
        """Averages the gradients of embedding tables over the processes.

        Args:
            dense: Tables whose gradient is a tensor of their shape: added up at once.
            sparse: Those whose gradient has the touched rows alone, which is all that is sent.
                NCCL cannot add such, so each process gathers and adds them itself.
        """
        if self.size == 1:
            return
        gradients = [t.grad for t in dense if t.grad is not None]
        if gradients:
            flat = self.sum_(torch.cat([g.flatten() for g in gradients])).div_(self.size)
            for gradient, part in zip(
                gradients, flat.split([g.numel() for g in gradients]), strict=True
            ):
                gradient.copy_(part.view_as(gradient))
        for table, mean in zip(sparse, self._gathered(sparse), strict=True):
            table.grad = mean

    def sum_(self, values: Tensor) -> Tensor:
        """Adds up tensors of one shape, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def joined(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Puts every process's rows behind each other, in the order of ranks; on the CPU.

        Args:
            found: float or int[n, …]; n may differ from process to process.
        """
        every = found if self.size == 1 else self._joined(found)
        return {name: values.cpu() for name, values in every.items()}

    def _joined(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        n = len(next(iter(found.values())))
        counts = self._all(torch.tensor([n])).flatten().tolist()
        return {name: self._rows(values, counts) for name, values in found.items()}

    def _rows(self, values: Tensor, counts: Sequence[int]) -> Tensor:
        padded = values.new_zeros(max(counts), *values.shape[1:])
        padded[: len(values)] = values
        return torch.cat([t[:n] for t, n in zip(self._all(padded), counts, strict=True)])

    def _all(self, values: Tensor) -> Tensor:
        """Tensors of one shape [...] → [size, ...]."""
        mine = values.to(self.device).contiguous()
        found = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(found, mine)
        return torch.stack(found)

    def _gathered(self, tables: Sequence[Tensor]) -> list[Tensor | None]:
        """The mean of every process's sparse gradients of some tables; None where nobody has any.

        What the processes tell each other goes in two messages, of how many rows and of these: a
        message takes its time whatever is in it, and three for each table were a third of a step
        of five tables.
        """
        if not tables:
            return []
        mine = [_packed(table) for table in tables]
        counts = self._all(torch.tensor([len(part) for part in mine])).tolist()
        sizes = [[n * part.shape[1] for n, part in zip(own, mine, strict=True)] for own in counts]
        flat = torch.cat([part.flatten() for part in mine])
        every = self._rows(flat, [sum(own) for own in sizes])
        parts = iter(every.split([size for own in sizes for size in own]))
        found = [[next(parts).view(-1, part.shape[1]) for part in mine] for _ in counts]
        return [
            _mean(table, of) for table, of in zip(tables, zip(*found, strict=True), strict=True)
        ]


def _packed(table: Tensor) -> Tensor:
    """float32[u, 1 + dim]: what its gradient has of u rows, after the bits of their numbers.

    As int32: a table of more than 2³¹ rows is more than a machine holds.
    """
    if table.grad is None:
        return table.new_empty(0, 1 + table.shape[1])
    rows, sums = unique_rows(table.grad)
    return torch.cat([rows.int().view(torch.float32)[:, None], sums.float()], dim=1)


def _mean(table: Tensor, parts: Sequence[Tensor]) -> Tensor | None:
    """The mean, over processes, of what they packed of a table, as its gradient."""
    every = torch.cat(list(parts))
    if not len(every):
        return None
    rows, sums = every[:, 0].contiguous().view(torch.int32).long(), every[:, 1:]
    return torch.sparse_coo_tensor(
        rows[None], sums / len(parts), table.shape, check_invariants=False
    )


ALONE = Team()
