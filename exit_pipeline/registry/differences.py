"""What differs between two makings of a model: values by their path, tensors by their name."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

# Ours: how far rounding may move what is made elsewhere; `docs/model.md` says what was measured.
# Figures of slices are told, not bounded: in one of few rows a tie that breaks is a leap.
TOLERANCE = {
    "weights": 0.25,
    "calibration": 0.02,
    "history": 0.02,
    "metrics": 0.005,
    "slices": None,
}
LONG = 8


@dataclass(frozen=True)
class Difference:
    """One thing that is not as recorded.

    Args:
        what: Its kind: `code`, `packages`, `rows`, `weights`, `metrics` ….
        name: Which of that kind.
        recorded: As it was.
        now: As it is.
        largest: The largest absolute difference of results that are finite numbers of one shape.
    """

    what: str
    name: str
    recorded: Any
    now: Any
    largest: float | None = None

    @property
    def tolerated(self) -> bool:
        """Whether rounding alone may explain it."""
        if self.what not in TOLERANCE:
            return False
        bound = TOLERANCE[self.what]
        return bound is None or (self.largest is not None and self.largest <= bound)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


def values(what: str, name: str, recorded: Any, now: Any) -> Iterator[Difference]:
    """Compares JSON-able values, part by part.

    Args:
        what: Their kind.
        name: What stands before the path of each part.
        recorded: As they were.
        now: As they are.
    """
    before, after = _leaves(recorded, name), _leaves(now, name)
    for path in dict.fromkeys([*before, *after]):
        old, new = before.get(path), after.get(path)
        if json.dumps(old) != json.dumps(new):
            largest = _distance(old, new) if what in TOLERANCE else None
            yield Difference(what, path, _shown(old), _shown(new), largest)


def of_figures(
    role: str, recorded: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[Difference]:
    """Compares figures: those over all evaluation rows, and those of slices."""
    for part, figures in recorded.items():
        what = "metrics" if part == "all" else "slices"
        yield from values(what, f"{role}.{part}", figures, now.get(part))


def tensors(role: str, recorded: bytes, now: bytes) -> Iterator[Difference]:
    """Compares weights in safetensors form, tensor by tensor.

    Args:
        role: Whose weights.
        recorded: The registered file.
        now: The one just made.
    """
    try:
        before = load(recorded)
    except SafetensorError as error:
        yield Difference("registered file", role, "safetensors", f"unreadable: {error}")
        return
    after = load(now)
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None or old.shape != new.shape:
            yield Difference("weights", f"{role}.{name}", _shape(old), _shape(new))
        elif save({name: old}) != save({name: new}):
            largest = _finite(float((old.double() - new.double()).abs().max()))
            yield Difference("weights", f"{role}.{name}", _shape(old), _shape(new), largest)


def _leaves(value: Any, path: str) -> dict[str, Any]:
    """Mappings are taken apart, and lists of mappings; a list of plain values stays whole."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {path: value}
    parts = (_leaves(part, f"{path}.{key}" if path else str(key)) for key, part in value.items())
    return {leaf: one for part in parts for leaf, one in part.items()}


def _distance(old: Any, new: Any) -> float | None:
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        parts = [_distance(a, b) for a, b in zip(old, new, strict=True)]
        known = [part for part in parts if part is not None]
        return max(known, default=0.0) if len(known) == len(parts) else None
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in (old, new)):
        return None
    return _finite(abs(old - new))


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _shown(value: Any) -> Any:
    return f"{len(value)} values" if isinstance(value, list) and len(value) > LONG else value


def _shape(tensor: Tensor | None) -> list[int] | None:
    return None if tensor is None else list(tensor.shape)
