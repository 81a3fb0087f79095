"""Which world, and which of its rows: what decides what a run is fitted to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from exit_pipeline.errors import UsageError
from exit_pipeline.experiments.mixed import KINDS
from exit_pipeline.experiments.overrides import known
from exit_pipeline.simulator import SimulationConfig

SIMULATED = ("A", "B")
WORLDS = (*SIMULATED, "complete_journey")


@dataclass(frozen=True)
class WorldSpec:
    """Which world, and what differs from the standard one.

    Args:
        name: `A` and `B` are simulated, `complete_journey` is real.
        size: Of a simulated log: `standard`, or `quick` for a tiny one.
        simulation: Fields of `SimulationConfig`, such as `{"sources": 4}`.
        profile: Dotted keys of the profile, such as `{"labels.consistency.definition": "rate"}`.
    """

    name: str
    size: str = "standard"
    simulation: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in WORLDS:
            raise UsageError(f"there is no world {self.name!r}", mend=f"one of {', '.join(WORLDS)}")
        for name in self.simulation:
            known(name, {f.name: f for f in fields(SimulationConfig)}, f"simulation.{name}")

    @property
    def simulated(self) -> bool:
        """Whether the planted truth is known."""
        return self.name in SIMULATED

    @property
    def config(self) -> SimulationConfig:
        """What the log is simulated from."""
        return SimulationConfig.sized(self.size, world=self.name, **self.simulation)

    @property
    def log(self) -> str:
        """The log's name; worlds that differ in the profile alone share it."""
        return _named(f"{self.name}-{self.size}" if self.simulated else self.name, self.simulation)

    @property
    def key(self) -> str:
        """The name of the world's folder."""
        return _named(self.log, self.profile)


@dataclass(frozen=True)
class HeldOut:
    """Rows with a value in a column that count in the last days of training alone."""

    column: str
    value: str
    days: int


@dataclass(frozen=True)
class RowsSpec:
    """Which rows training has.

    Args:
        share: Of the rows, in (0, 1], by a hash of their ids: a smaller share is part of a larger.
        held_out: Rows that count in the last days alone.
        kind: One of `mixed.KINDS`.
        flipped: Share of rows whose a_k is turned round, drawn for each source.
    """

    share: float = 1.0
    held_out: HeldOut | None = None
    kind: str = "target"
    flipped: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"there are no {self.kind!r} rows", mend=f"one of {', '.join(KINDS)}")

    def to_dict(self) -> dict[str, Any]:
        """What decides the rows; what is not flipped does not say so, and keeps its old key."""
        return {k: v for k, v in asdict(self).items() if k != "flipped" or v}


def _named(name: str, changes: Mapping[str, Any]) -> str:
    if not changes:
        return name
    text = json.dumps(dict(changes), sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
