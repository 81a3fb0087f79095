"""Runs a study: its entries in parallel processes, then its report."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any

from exit_pipeline.errors import ExitPipelineError, UsageError
from exit_pipeline.experiments.arena import fit_entry
from exit_pipeline.experiments.making import prepare
from exit_pipeline.experiments.parallel import each
from exit_pipeline.experiments.report import STANDARD, write_report
from exit_pipeline.experiments.results import Reference, Results, gather
from exit_pipeline.experiments.runs import Entry, Run
from exit_pipeline.experiments.spaces import SPACES
from exit_pipeline.experiments.tuned import is_tuned
from exit_pipeline.settings import Settings

# Letters of a folder's name that say which part is in it; more are cut off for a hash of them all.
SLUG = 48
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Study:
    """A question, and how it is answered.

    Args:
        question: In a line.
        entries: Who is compared; told whether a quick look is enough.
        reference: Whom each is compared with, among those of its place.
        sentence: What the results say.
        axis: Name of what changes from place to place; empty where nothing does.
        subject: Whose slices are listed; empty for none.
        columns: Of the table.
    """

    question: str
    entries: Callable[[bool], Sequence[Entry]]
    reference: Reference
    sentence: Callable[[Results], str]
    axis: str = ""
    subject: str = ""
    columns: Sequence[str] = STANDARD


@dataclass(frozen=True)
class Part:
    """A part of a study; by default all of it.

    Args:
        seeds: At most this many of each entry's; None for all.
        worlds: Names of worlds; empty for all.
        places: Of the study's axis, such as `8 %`; empty for all.
        labels: Of who is compared; empty for all.
    """

    seeds: int | None = None
    worlds: Sequence[str] = ()
    places: Sequence[str] = ()
    labels: Sequence[str] = ()

    def of(self, entries: Sequence[Entry]) -> list[Entry]:
        """Returns the entries that belong to it.

        Raises:
            UsageError: None does, or a name is of nobody.
        """
        _check_named("world", self.worlds, {entry.world.name for entry in entries})
        _check_named("at", self.places, {entry.x for entry in entries})
        _check_named("only", self.labels, {entry.label for entry in entries})
        found = [entry for entry in entries if self._has(entry)]
        if not found:
            places = sorted({f"{entry.world.name} {entry.x}".strip() for entry in entries})
            raise UsageError("the study has no such part", mend=f"one of {', '.join(places)}")
        return found

    def options(self) -> list[str]:
        """Returns the options of the command `experiment` that ask for this part."""
        told = [("world", self.worlds), ("at", self.places), ("only", self.labels)]
        seeds = [] if self.seeds is None else [f"--seeds {self.seeds}"]
        return seeds + [f"--{name} {quote(value)}" for name, values in told for value in values]

    @property
    def slug(self) -> str:
        """Its options as a part of a file's name: `-seeds-1-world-a`; nothing for all of it."""
        text = " ".join(self.options())
        slug = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
        if len(slug) > SLUG:
            slug = f"{slug[:SLUG].strip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        return slug and f"-{slug}"

    def _has(self, entry: Entry) -> bool:
        return (
            (self.seeds is None or entry.seed < self.seeds)
            and (not self.worlds or entry.world.name in self.worlds)
            and (not self.places or entry.x in self.places)
            and (not self.labels or entry.label in self.labels)
        )


def fairly(entries: Sequence[Entry]) -> list[Entry]:
    """Lets all of a world start from what tuning found, or nobody, where someone was not tuned."""
    plain = {e.world.name for e in entries if e.model in SPACES and not is_tuned(e.world, e.model)}
    return [replace(e, tuned=e.tuned and e.world.name not in plain) for e in entries]


def _check_named(option: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(
                "the study has no such part", where=f"--{option} {name}",
                mend=f"{hint}one of {', '.join(sorted(known))}",
            )  # fmt: skip


def run_study(
    name: str,
    study: Study,
    settings: Settings,
    *,
    quick: bool = False,
    part: Part | None = None,
    out: Path | None = None,
    progress: Progress = lambda done, total, text: None,
) -> dict[str, Any]:
    """Fits what is not fitted yet, and writes the report.

    An entry that fails does not take the others with it: they are fitted and kept, and the study
    says afterwards what failed.

    Args:
        name: The study's.
        study: What to do.
        settings: Cores and the home.
        quick: A tiny world and few rounds, in this process.
        part: What to run of it; by default all.
        out: Where the report goes; by default a folder of the study or its part, named
            `NAME[-quick][-OPTIONS]`, under `EXIT_HOME/experiments/studies`.
        progress: Called with entries done, entries in all, and a line of text.

    Returns:
        What `result.json` holds, and the report's folder.

    Raises:
        UsageError: The part leaves out whom the others are compared with.
        ExitPipelineError: The first entry that failed.
    """
    part = part or Part()
    entries = fairly(part.of(study.entries(quick)))
    _check_compared(entries, study.reference)
    root = settings.home.absolute() / "experiments"
    folder = out or root / "studies" / f"{name}{'-quick' * quick}{part.slug}"
    done: dict[int, Run] = {}
    failed: list[ExitPipelineError] = []
    for world in {entry.world.key: entry.world for entry in entries}.values():
        prepare(world, settings)
    for number, run in each(fit_entry, entries, settings, here=quick):
        if isinstance(run, ExitPipelineError):
            failed.append(run)
        else:
            done[number] = run
        entry = entries[number]
        text = f"{entry.world.name} {entry.x} {entry.label}, seed {entry.seed}"
        progress(len(done) + len(failed), len(entries), text)
    if failed:
        raise failed[0]
    results = Results(gather([done[number] for number in range(len(entries))]), study.reference)
    command = " ".join(["exit-pipeline experiment", name, *part.options()])
    found = write_report(folder, command, study.question, results, study.columns, study.axis,
                         study.subject, study.sentence(results))  # fmt: skip
    return {"study": name, "out": str(folder), **found}


def _check_compared(entries: Sequence[Entry], reference: Reference) -> None:
    places: dict[str, set[str]] = {}
    for entry in entries:
        places.setdefault(f"{entry.world.name} {entry.x}".strip(), set()).add(entry.label)
    for place, labels in places.items():
        if labels.isdisjoint(reference.labels):
            options = (f"--only {quote(label)}" for label in reference.labels)
            raise UsageError(
                "there is nobody to compare with", where=place, mend=f"add {' or '.join(options)}"
            )
