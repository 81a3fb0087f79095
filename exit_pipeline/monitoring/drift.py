"""Whether the inputs of the champion are spread as they were when it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from exit_pipeline.errors import RegistryError
from exit_pipeline.lake import Lake, connect
from exit_pipeline.monitoring.psi import Reference
from exit_pipeline.profile import Profile
from exit_pipeline.profile.monitoring import MonitoringSpec
from exit_pipeline.registry.lineage import TABLE
from exit_pipeline.registry.models import CHAMPION, Registry
from exit_pipeline.settings import Home, Settings
from exit_pipeline.training import load_model

REFERENCE = "drift_reference.json"
# Fewer rows a day spread by chance: n rows in b bins have an index of about (b − 1) ÷ n.
LEAST_ROWS = 500


@dataclass(frozen=True)
class Drift:
    """How far the newest mature days are from what the champion was trained on.

    Args:
        version: The champion.
        index: Population stability index by column, by day.
        own: That of the champion's own last training days. Where it is over the limit, a column
            moves by itself, and is not judged.
        spec: The limits.
        gone: Columns that the champion reads and the training set has no more: its profile was
            changed since. Nothing can be measured of them.
    """

    version: int
    index: dict[date, dict[str, float]]
    own: dict[str, float]
    spec: MonitoringSpec
    gone: Sequence[str] = ()

    @property
    def judged(self) -> list[str]:
        """The columns that training's own days keep within the limit."""
        return sorted(name for name, index in self.own.items() if index <= self.spec.max_psi)

    @property
    def drifted(self) -> dict[date, list[str]]:
        """The columns over the limit, by day that has any."""
        over = {
            day: [name for name in self.judged if index[name] > self.spec.max_psi]
            for day, index in sorted(self.index.items())
        }
        return {day: names for day, names in over.items() if names}

    @property
    def asks(self) -> bool:
        """Whether a model is to be trained: enough days drifted, and the newest is one of them."""
        found = self.drifted
        return len(found) >= self.spec.drifted_days and max(self.index) in found

    @property
    def largest(self) -> float:
        """The largest index of a judged column on the newest day; 0 where nothing is judged."""
        newest = self.index[max(self.index)] if self.index else {}
        return max((newest[name] for name in self.judged if name in newest), default=0.0)

    @property
    def reason(self) -> str:
        """What was found, in a sentence."""
        gone = f"version {self.version} reads what {TABLE} has no more: {', '.join(self.gone)}"
        return f"{gone}; {self._moved}" if self.gone else self._moved

    @property
    def _moved(self) -> str:
        if not self.index:
            return f"no day of {LEAST_ROWS} rows yet"
        found = self.drifted
        names = sorted({name for columns in found.values() for name in columns})
        drifted = f"{len(found)} of {len(self.index)} days drifted from version {self.version}"
        return f"{drifted}: {', '.join(names)}" if names else drifted

    def markdown(self) -> str:
        """Returns the indices as a table, the columns that moved most first."""
        days = sorted(self.index)
        lines = [f"| input | {' | '.join(map(str, days))} | judged |", "|---" * (len(days) + 2)]
        newest = self.index[days[-1]] if days else {}
        for name in sorted(newest, key=lambda one: (one not in self.judged, -newest[one], one)):
            cells = " | ".join(f"{self.index[day][name]:.3f}" for day in days)
            told = "yes" if name in self.judged else f"no: {self.own[name]:.2f} in training"
            lines.append(f"| {name} | {cells} | {told} |")
        lines += [f"| {name} |{' gone |' * len(days)} no: not in {TABLE} |" for name in self.gone]
        return "\n".join(f"{line}|" if line.startswith("|---") else line for line in lines)


def make_reference(
    settings: Settings, home: Home, model: Path, files: Sequence[str]
) -> dict[str, Any]:
    """Returns how a model's inputs were spread over its training rows, to be kept as `REFERENCE`.

    Args:
        settings: Threads and memory.
        home: Where DuckDB spills.
        model: The model's folder.
        files: Parquet files of its training days.
    """
    encoder = load_model(model).encoder
    with connect(settings, home) as connection:
        return Reference.of(connection, files, encoder).to_dict()


def find_drift(settings: Settings, lake: Lake, profile: Profile) -> Drift | None:
    """Holds the newest mature days against the champion's training rows.

    Returns:
        None where there is no champion.

    Raises:
        RegistryError: The registry cannot be read, or has no reference of the champion.
    """
    registry = Registry(lake.home, profile.name)
    version = registry.number(CHAMPION)
    if version is None:
        return None
    kept = registry.document(version, REFERENCE)
    if kept is None:
        raise RegistryError(
            f"nothing says how the inputs of version {version} were spread when it was trained",
            where=f"{registry.name}, {REFERENCE}",
            mend="promote a version that `exit-pipeline train` makes now: it has that beside it",
        )
    spec, reference = profile.spec.monitoring, Reference.from_dict(kept)
    files = newest_files(lake, spec.days)
    # Without rows there is nothing that a column could be missing from.
    known = reference.within(lake.columns(TABLE)) if files else reference
    with connect(settings, lake.home) as connection:
        found = known.of_days(connection, files)
    index = {day: told for day, (rows, told) in found.items() if rows >= LEAST_ROWS}
    gone = sorted(reference.counts.keys() - known.counts.keys())
    return Drift(version, index, dict(known.own), spec, gone)


def newest_files(lake: Lake, days: int, after: date = date.min) -> list[str]:
    """Returns the files of the newest days of the training set that have rows.

    Args:
        lake: Where it is.
        days: So many days, at most.
        after: Days after this one only.
    """
    states = lake.days(TABLE)
    found = sorted(day for day, state in states.items() if state.rows and day > after)[-days:]
    return lake.files(TABLE, [("ds", ">=", found[0])]) if found else []
