"""What goes into a model and what comes out, as typed containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

import torch
from torch import Tensor

from exit_pipeline.errors import TrainingError

LABELS = ("y", "y_click", "y_order", "y_negative", "value", "icl")
LABEL_PREFIXES = ("ys_", "ahead_", "consistent_", "icl_")


@dataclass(frozen=True)
class InputSpec:
    """Which columns of the training set a model reads.

    Args:
        categorical: Ids, attributes and context; text.
        numeric: Numbers about the user, the item, the scene and the target.
        source_numeric: Numbers about each source, by source.
    """

    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    source_numeric: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        labels = [n for n in self.columns if n in LABELS or n.startswith(LABEL_PREFIXES)]
        if labels:
            raise TrainingError(
                f"{', '.join(labels)} are labels, and a label is never an input",
                mend="take them out of the profile's features",
            )

    @property
    def sources(self) -> tuple[str, ...]:
        """The source domains, in the profile's order."""
        return tuple(self.source_numeric)

    @property
    def numbers(self) -> tuple[str, ...]:
        """All numeric columns: the target's first, then each source's."""
        return (*self.numeric, *(name for names in self.source_numeric.values() for name in names))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns read."""
        return (*self.categorical, *self.numbers)

    def without_sources(self) -> InputSpec:
        """The same inputs without anything of a source."""
        return InputSpec(self.categorical, self.numeric, dict.fromkeys(self.sources, ()))

    def without(self, names: Sequence[str]) -> InputSpec:
        """The same inputs without some columns.

        Raises:
            TrainingError: One of them is no input.
        """
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            near = get_close_matches(unknown[0], self.columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise TrainingError(
                f"{unknown[0]!r} is no input", mend=f"{hint}one of {', '.join(self.columns)}"
            )

        def kept(columns: Sequence[str]) -> tuple[str, ...]:
            return tuple(column for column in columns if column not in names)

        by_source = {source: kept(columns) for source, columns in self.source_numeric.items()}
        return InputSpec(kept(self.categorical), kept(self.numeric), by_source)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        return {
            "categorical": list(self.categorical),
            "numeric": list(self.numeric),
            # Pairs, since the order of sources is the order of the model's outputs.
            "source_numeric": [[name, list(c)] for name, c in self.source_numeric.items()],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` returned."""
        sources = {name: tuple(columns) for name, columns in values["source_numeric"]}
        return cls(tuple(values["categorical"]), tuple(values["numeric"]), sources)


@dataclass(frozen=True)
class Batch:
    """n encoded rows.

    Args:
        categorical: int64[n, C], indices into each column's vocabulary; 0 is unknown.
        numeric: float32[n, M], NaN where nothing is known.
        hidden: bool[n, K], sources of which nothing may be seen or carried.
        labels: By name float32[n] (`y`, `click`, `order`, `icl`), or float32[n, K] for `source`
            (what source heads predict), `shown` (y_s) and `consistent` (a); empty when scoring.
        bounds: float32[n, K, 2], least and most z_tr of a source that a policy governs, NaN where
            it is free; the trunk sees such a source to the share p_tr that they leave at most, and
            its gate may show less. None where all are free.
    """

    categorical: Tensor
    numeric: Tensor
    hidden: Tensor
    labels: Mapping[str, Tensor]
    bounds: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Moves the batch, without waiting where its memory is pinned."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> Batch:
        """Pins the batch's memory, so that it moves to a GPU while the GPU works."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, move: Callable[[Tensor], Tensor]) -> Batch:
        labels = {name: move(tensor) for name, tensor in self.labels.items()}
        bounds = None if self.bounds is None else move(self.bounds)
        return Batch(move(self.categorical), move(self.numeric), move(self.hidden), labels, bounds)


@dataclass(frozen=True)
class Outputs:
    """What a model says of n rows; K is the number of sources (0 columns where none is carried).

    Args:
        logit: float[n], of the outcome, before calibration: `own` + Σ_k `carry`.
        own: float[n], the part of the logit that is target interest: all of it if nothing carries.
        carry: float[n, K], the part of the logit that came over from each source.
        target: float[n], logit of target interest, p_t.
        source: float[n, K], logits of source interest.
        transfer: float[n, K], logits of how strongly this scene lets it transfer.
        order: float[n], logit of an order given the outcome (ESMM).
        members: float[m, n], the logit of own interest by ensemble member; `own` is their mean,
            and each member learns by itself.
        whole: float[n], P_whole of `sum`, else None.
    """

    logit: Tensor
    own: Tensor
    carry: Tensor
    target: Tensor
    source: Tensor
    transfer: Tensor
    order: Tensor
    members: Tensor
    whole: Tensor | None = None
