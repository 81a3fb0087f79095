"""A registered version: what it is, what was decided about it, and what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

UNDECIDED = "undecided"
PASSED = "gates_passed"  # a metric: 1 where every gate let it, when they were last asked


@dataclass(frozen=True)
class Version:
    """One registered version.

    Args:
        version: Its number.
        aliases: What it is called.
        metrics: On its evaluation days.
        history: Every decision about it, oldest first: its word, reason and time.
        withdrawn: Why it was rolled back from; empty where it was not.
        created: When it was registered.
        lineage: What it was made from.
    """

    version: int
    aliases: list[str]
    metrics: dict[str, float]
    history: list[dict[str, Any]]
    withdrawn: str
    created: datetime
    lineage: dict[str, Any] = field(repr=False)

    @property
    def decision(self) -> str:
        """The word of the newest decision."""
        return self.history[-1]["decision"] if self.history else UNDECIDED

    @property
    def reason(self) -> str:
        """The reason of the newest decision."""
        return self.history[-1]["reason"] if self.history else ""

    def to_dict(self) -> dict[str, Any]:
        """What `exit-pipeline models --json` shows of a version."""
        names = ("version", "aliases", "metrics", "decision", "reason", "history")
        return {**{n: getattr(self, n) for n in names}, "created": self.created.isoformat()}
