"""Runs brought together: by world, place on the axis and label, each against its reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from exit_pipeline.evaluation.bootstrap import holm
from exit_pipeline.experiments.bootstrap import Interval
from exit_pipeline.experiments.runs import Run
from exit_pipeline.simulator.answer import MEASURES, Answer

LEVEL = 0.05
# A slice with fewer positives is too skewed for a bootstrap's interval to be called sure.
POSITIVES = 50
LOSSES = ("auc", "logloss", "expected_auc", "expected_logloss")


@dataclass(frozen=True)
class Group:
    """The runs of one label in one place: seeds of the same thing.

    Args:
        world: The world's name.
        x: The place on the study's axis; empty where it has none.
        label: The entry's.
        runs: One a seed.
    """

    world: str
    x: str
    label: str
    runs: tuple[Run, ...]

    def figures(self, name: str, where: str = "all", part: str = "evaluation") -> list[float]:
        """A metric of each seed, where it is known."""
        found = (run.figures[part] for run in self.runs)
        slices = (f.get(where) if part == "evaluation" else f for f in found)
        values = [(s or {}).get(name) for s in slices]
        return [float(value) for value in values if value is not None]

    def mean(self, name: str, where: str = "all", part: str = "evaluation") -> float:
        """Its mean over seeds; NaN where it is not known."""
        values = self.figures(name, where, part)
        return float(np.mean(values)) if values else float("nan")

    def spread(self, name: str, where: str = "all") -> float:
        """Its standard deviation over seeds; NaN with fewer than two."""
        values = self.figures(name, where)
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    @property
    def seconds(self) -> float:
        """Mean seconds of fitting."""
        return float(np.mean([run.figures["seconds"] for run in self.runs]))

    @cached_property
    def slices(self) -> list[str]:
        """Slices with both classes."""
        return [n.partition("|")[2] for n in self.runs[0].draws if n.startswith("auc|")]

    @cached_property
    def earned(self) -> dict[str, np.ndarray]:
        """Mean over seeds of what the simulator answers; empty on real data."""
        parts = [run.earned for run in self.runs]
        return {name: np.mean([p[name] for p in parts], axis=0) for name in parts[0]}

    def difference(self, other: Group, name: str, where: str = "all") -> Interval:
        """This group's `auc` or `logloss` less another's, paired over users.

        NaN where it is not known, and where the slice does not have the same rows in all runs.
        """
        key, runs = f"{name}|{where}", (*self.runs, *other.runs)
        if any(key not in run.draws for run in runs) or len({r.rows(where) for r in runs}) > 1:
            return Interval(float("nan"), float("nan"), float("nan"), 1.0)
        ours, theirs = (np.mean([r.draws[key] for r in g.runs], axis=0) for g in (self, other))
        return Interval.of(self.mean(name, where) - other.mean(name, where), ours - theirs)

    def sharpest(self, other: Group, where: str = "all") -> Interval:
        """The difference in AUC by the planted chance where it is known, else by outcomes."""
        known = f"expected_auc|{where}" in self.runs[0].draws
        return self.difference(other, "expected_auc" if known else "auc", where)

    def earns(self, other: Group, measure: str) -> Interval:
        """The relative difference in a measure of the A/B test, paired over users."""
        answer = Answer({"ours": self.earned, "theirs": other.earned}, self.earned["shown"])
        return Interval.of(*answer.drawn("ours", "theirs", measure))


@dataclass(frozen=True)
class Reference:
    """Chooses, among groups of one world and place, whom the others are compared with.

    Args:
        labels: Who may be chosen: the one with the least validation logloss, never one by its
            test figures.
    """

    labels: tuple[str, ...]

    def __call__(self, groups: Sequence[Group]) -> Group:
        """The reference; one of its labels is among the groups (see `study.run_study`)."""
        among = [g for g in groups if g.label in self.labels]
        return min(among, key=lambda g: g.mean("logloss", part="validation"))


@dataclass(frozen=True)
class Results:
    """All groups of a study.

    Args:
        groups: In the order of the study's entries.
        reference: Whom a group is compared with.
    """

    groups: Sequence[Group]
    reference: Reference

    def places(self) -> list[tuple[str, str]]:
        """World and x of each place, in order."""
        return list(dict.fromkeys((g.world, g.x) for g in self.groups))

    def at(self, world: str, x: str) -> list[Group]:
        """The groups of a place."""
        return [g for g in self.groups if (g.world, g.x) == (world, x)]

    def rival(self, group: Group) -> Group:
        """Whom a group is compared with."""
        return self.reference(self.at(group.world, group.x))

    def find(self, world: str, x: str, label: str) -> Group | None:
        """A group by its label, or None."""
        return next((g for g in self.at(world, x) if g.label == label), None)

    def to_dict(self) -> list[dict[str, Any]]:
        """Everything known of each group, JSON-able, an entry a group."""
        return [
            {
                "world": g.world, "x": g.x, "label": g.label, "model": g.runs[0].entry.model,
                "settings": dict(g.runs[0].entry.settings), "seconds": g.seconds,
                "seeds": [run.entry.seed for run in g.runs],
                "evaluation": [run.figures["evaluation"] for run in g.runs],
                "validation": [run.figures["validation"] for run in g.runs],
                "against": self.rival(g).label,
                "differences": dict(_differences(g, self.rival(g))),
            }
            for g in self.groups
        ]  # fmt: skip


def gather(runs: Sequence[Run]) -> list[Group]:
    """Puts the seeds of the same thing together."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        entry = run.entry
        found.setdefault((entry.world.name, entry.x, entry.label), []).append(run)
    return [Group(*place, tuple(held)) for place, held in found.items()]


def significant(group: Group, rival: Group, name: str) -> set[str]:
    """Slices on which two groups surely differ, after Holm's correction over slices.

    Those with fewer than 50 positives are not asked, nor counted in the correction.
    """
    asked = [s for s in group.slices if s != "all" and group.mean("positives", s) >= POSITIVES]
    found = {s: group.difference(rival, name, s) for s in asked}
    return holm({s: i.p for s, i in found.items() if np.isfinite(i.mean)}, LEVEL)


def _differences(group: Group, rival: Group) -> Iterator[tuple[str, Mapping[str, Any]]]:
    known = {key.partition("|")[0] for key in group.runs[0].draws}
    for name in (loss for loss in LOSSES if loss in known):
        sure = significant(group, rival, name)
        for where in group.slices:
            interval = asdict(group.difference(rival, name, where))
            yield f"{name}|{where}", {**interval, "after_holm": where in sure}
    for measure in MEASURES if group.earned else ():
        yield f"earned|{measure}", asdict(group.earns(rival, measure))
