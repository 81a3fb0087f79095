"""The worlds that studies run on: a log, its tables, the split rows, and the planted truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.errors import LakeError
from exit_pipeline.experiments.asking import Question
from exit_pipeline.experiments.flipped import write_flipped
from exit_pipeline.experiments.mixed import write_mixed, write_source_rows
from exit_pipeline.experiments.specs import RowsSpec, WorldSpec
from exit_pipeline.experiments.tables import sample
from exit_pipeline.features import input_spec, unit_input
from exit_pipeline.lake import Lake
from exit_pipeline.lock import exclusive
from exit_pipeline.model.encoders import DOMAIN
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings

LOCK_SECONDS = 3600.0


@dataclass(frozen=True)
class World:
    """A world that is ready.

    Args:
        spec: Which.
        settings: Limits and the home.
        profile: As the world's tables were built by.
        folder: Holds the tables and rows.
        parts: The files of each part of the split.
        digest: SHA-256 over the content of the training set's days.
        training: The first and the last training day.
        seconds: What its tables took.
    """

    spec: WorldSpec
    settings: Settings
    profile: Profile
    folder: Path
    parts: Mapping[str, Sequence[str]]
    digest: str
    training: tuple[date, date]
    seconds: float = 0.0

    @property
    def home(self) -> Home:
        """The folders of its lake."""
        return Home(self.folder / "home")

    @cached_property
    def inputs(self):
        """The columns that a model may read."""
        return input_spec(self.profile.spec)

    @property
    def unit(self) -> str:
        """The column that holds the interest unit."""
        return unit_input(self.profile.spec)

    @cached_property
    def evaluation(self) -> pa.Table:
        """The evaluation rows, by time and id; `domain` is the target's name."""
        return self._of_target(pq.read_table(self.folder / "evaluation.parquet"))

    @cached_property
    def validation(self) -> pa.Table:
        """The validation rows, likewise."""
        return self._of_target(pq.read_table(self.folder / "validation.parquet"))

    @property
    def log(self) -> Path:
        """The simulated log, its truth beside it."""
        return self.settings.home.absolute() / "experiments" / "logs" / self.spec.log

    @cached_property
    def question(self) -> Question | None:
        """What the simulator is asked in place of an A/B test; None on real data."""
        if not self.spec.simulated:
            return None
        found = Question.read(self.folder / "question")
        return replace(found, rows=self._of_target(found.rows))

    def rows(self, wanted: RowsSpec) -> dict[str, Sequence[str]]:
        """Files of training, validation and calibration rows.

        Args:
            wanted: Which rows training has; of the other parts it decides the columns alone.
        """
        parts = {part: self.parts[part] for part in ("train", "validation", "calibration")}
        if wanted.kind != "target":
            source = self._once("source", "", self._write_source_rows)
            for part, files in parts.items():
                extra = source if part == "train" else None
                write = partial(write_mixed, self.settings, self.home, self.profile, files, extra,
                                wanted.kind)  # fmt: skip
                parts[part] = [str(self._once(part, wanted.kind, write))]
        if wanted.share < 1 or wanted.held_out:
            write = partial(self._sample, parts["train"], wanted)
            name = replace(wanted, flipped=0.0).to_dict()
            parts["train"] = [str(self._once("train", name, write))]
        if wanted.flipped:
            write = partial(write_flipped, parts["train"], self.inputs.sources, wanted.flipped)
            parts["train"] = [str(self._once("train", wanted.to_dict(), write))]
        return parts

    def _sample(self, files: Sequence[str], wanted: RowsSpec, out: Path) -> None:
        held, out_of = wanted.held_out, None
        if held:
            since = self.training[1] - timedelta(days=held.days - 1)
            out_of = (held.column, held.value, since)
        sample(self.settings, self.home, files, wanted.share, out, out_of)

    def _write_source_rows(self, out: Path) -> None:
        write_source_rows(self.settings, Lake(self.home), self.profile, *self.training, out)

    def _once(self, part: str, what: Any, write: Callable[[Path], None]) -> Path:
        """A file under `samples` that is written when first asked for."""
        name = hashlib.sha256(json.dumps([part, what]).encode()).hexdigest()[:12]
        file = self.folder / "samples" / f"{part}-{name}.parquet"
        with exclusive(file.with_suffix(".lock"), LOCK_SECONDS, busy(file)):
            if not file.exists():
                write(file)
        return file

    def _of_target(self, rows: pa.Table) -> pa.Table:
        domain = pa.array([self.profile.spec.target] * rows.num_rows, pa.string())
        return rows.append_column(DOMAIN, domain)


def busy(place: Path) -> LakeError:
    """What is said where a lock was waited for in vain."""
    return LakeError("another process has long been making this", where=str(place))
