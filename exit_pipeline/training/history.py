"""What the epochs of a training came to, and which of them is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

# Mean p_tr ÷ mean a where y_s = 1; outside this range the transfer has collapsed or run away. The
# alarm only tells; what refuses a model is the profile's `gates.transfer_collapse`.
HEALTHY = (0.5, 1.5)
# Mean p_tr where nothing carries, at most: a sigmoid never says 0, and what a source adds is then a
# twentieth of what it may.
IDLE = 0.05


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Args:
        number: From 0.
        train_loss: Mean over its batches.
        validation_logloss: What decides which epoch is best.
        transfer: What `ratio` says of the rows with y_s = 1, of the source farthest from 1.
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
        unknown = math.inf if values["alarm"] else math.nan
        transfer = unknown if values["transfer"] is None else values["transfer"]
        return cls(**{**values, "transfer": transfer})


def best(history: Sequence[Epoch]) -> Epoch:
    """Returns the epoch with the lowest validation logloss, the first of equals."""
    return min(history, key=lambda epoch: epoch.validation_logloss)


def settled(history: Sequence[Epoch], patience: int) -> bool:
    """Whether the last `patience` epochs brought nothing better."""
    return bool(history) and history[-1].number - best(history).number >= patience


def ratio(p_transfer: float, consistent: float) -> float:
    """Returns mean p_tr ÷ mean a; where a is 0, inf for a p_tr that is surely not, else nan."""
    if consistent:
        return p_transfer / consistent
    return math.inf if p_transfer > IDLE else math.nan


def farthest(ratios: Iterable[float]) -> float:
    """Returns the ratio that is farthest from 1, as a factor; nan where there is none."""
    known = [one for one in ratios if not math.isnan(one)]
    return max(known, key=lambda one: abs(math.log(one)) if one else math.inf, default=math.nan)


def alarm(transfer: float) -> str:
    """Returns what to say of a `ratio` that is not healthy; nothing where it is."""
    if math.isinf(transfer):
        return f"; ALARM: nothing carries, but mean p_transfer is above {IDLE}"
    if math.isnan(transfer) or HEALTHY[0] <= transfer <= HEALTHY[1]:
        return ""
    low, high = HEALTHY
    return f"; ALARM: mean p_transfer is {transfer:.2f} of mean a (healthy {low} … {high})"
