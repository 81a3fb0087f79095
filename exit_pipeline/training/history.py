"""What the epochs of a training came to, and which of them is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

# Mean p_tr ÷ mean a where y_s = 1; outside this range the transfer has collapsed or run away.
HEALTHY = (0.5, 1.5)


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Args:
        number: From 0.
        train_loss: Mean over its batches.
        validation_logloss: What decides which epoch is best.
        transfer: Mean p_tr ÷ mean a where y_s = 1; nan without such rows.
        alarm: Whether `transfer` is outside its healthy range.
        balance: By term of the loss the norm of its gradient at the embeddings, first batch.
        workers: Processes that trained it.
    """

    number: int
    train_loss: float
    validation_logloss: float
    transfer: float
    alarm: bool
    balance: dict[str, float]
    workers: int = 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values; what is not a number is None."""
        known = math.isfinite(self.transfer)
        return {**asdict(self), "transfer": self.transfer if known else None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Reads what `to_dict` returned."""
        transfer = math.nan if values["transfer"] is None else values["transfer"]
        return cls(**{**values, "transfer": transfer})


def best(history: Sequence[Epoch]) -> Epoch:
    """Returns the epoch with the lowest validation logloss, the first of equals."""
    return min(history, key=lambda epoch: epoch.validation_logloss)


def settled(history: Sequence[Epoch], patience: int) -> bool:
    """Whether the last `patience` epochs brought nothing better."""
    return bool(history) and history[-1].number - best(history).number >= patience


def alarm(transfer: float) -> str:
    """Returns what to say of a mean p_tr ÷ mean a that is not healthy; nothing where it is."""
    if math.isnan(transfer) or HEALTHY[0] <= transfer <= HEALTHY[1]:
        return ""
    low, high = HEALTHY
    return f"; ALARM: mean p_transfer is {transfer:.2f} of mean a (healthy {low} … {high})"
