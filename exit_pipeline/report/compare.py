"""How good a version is beside its rivals: calibration, and differences over all and on slices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from exit_pipeline.evaluation import Evaluation
from exit_pipeline.evaluation.bootstrap import Difference, holm, paired
from exit_pipeline.profile.learning import GatesSpec
from exit_pipeline.report.transfer import wilson

BINS = 15
MANY, FEW = ("scene ", "segment "), 6  # slices by value, of which the largest few are shown


@dataclass(frozen=True)
class Bin:
    """Rows of alike predictions: their mean, the share with the outcome, its 95 % interval."""

    predicted: float
    actual: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class SliceDifference:
    """A slice, and our logloss there less the rival's.

    Args:
        name: The slice's.
        rows: Its rows.
        positives: Its rows with the outcome.
        auc: Ours; None where it has one class.
        rival_auc: The rival's.
        difference: With its interval, by a paired bootstrap over users.
        supported: Whether the gates test it.
        verdict: `better` or `worse` where the difference is not zero after Holm's correction.
    """

    name: str
    rows: int
    positives: int
    auc: float | None
    rival_auc: float | None
    difference: Difference
    supported: bool
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """A version against one rival on the same rows.

    Args:
        rival: What it is called.
        auc: The rival's, over all rows.
        whole: Over all rows.
        slices: Those shown.
        left_out: How many scenes and segments are not.
    """

    rival: str
    auc: float | None
    whole: Difference
    slices: list[SliceDifference]
    left_out: int

    @property
    def reach(self) -> float:
        """A round scale that shows every tested interval whole; others may be cut off."""
        tested = [one.difference for one in self.slices if one.supported]
        shown = [self.whole, *(tested or [one.difference for one in self.slices])]
        most = max(max(abs(d.low), abs(d.high)) for d in shown) or 1.0
        power = 10.0 ** math.floor(math.log10(most))
        return next(round(m * power, 12) for m in (1, 1.5, 2, 3, 4, 6, 8, 10) if m * power >= most)


def reliability(evaluation: Evaluation) -> list[Bin]:
    """The bins of equal mass that ECE is taken over."""
    order = np.argsort(evaluation.score, kind="stable")
    bins = []
    for part in np.array_split(order, min(BINS, len(order))):
        actual = float(evaluation.y[part].mean())
        predicted = float(evaluation.score[part].mean())
        bins.append(Bin(predicted, actual, *wilson(actual, len(part)), len(part)))
    return bins


def compare(
    ours: Evaluation, theirs: Evaluation, rival: str, spec: GatesSpec, seed: int
) -> Comparison:
    """Compares over all rows and on each slice.

    A gate asks only whether a slice is worse than a margin; here each is asked, on both sides,
    whether it differs at all.

    Args:
        ours: The version's.
        theirs: The rival's, on the same rows.
        rival: What to call it.
        spec: Support, level and draws.
        seed: Of the draws.
    """
    every = np.ones(len(ours.y), bool)
    whole = _difference(ours, theirs, every, spec, seed)
    named = [name for name, mask in ours.masks.items() if mask.any()]
    supported = {name: _supported(ours, name, spec) for name in named}
    shown = _shown(ours, named, supported)
    found = {name: _difference(ours, theirs, ours.masks[name], spec, seed) for name in shown}
    chances = {name: _chance(one) for name, one in found.items() if supported[name]}
    different = holm(chances, spec.slice_alpha)
    slices = [
        SliceDifference(
            name, ours.by_slice[name]["rows"], ours.by_slice[name]["positives"],
            ours.by_slice[name]["auc"], theirs.by_slice[name]["auc"], one, supported[name],
            "" if name not in different else "better" if one.mean < 0 else "worse",
        )
        for name, one in found.items()
    ]  # fmt: skip
    return Comparison(rival, theirs.metrics["auc"], whole, slices, len(named) - len(shown))


def _shown(ours: Evaluation, named: list[str], supported: dict[str, bool]) -> list[str]:
    """Scenes and segments come by the dozen: those with support, or else the largest few."""
    left_out: set[str] = set()
    for kind in MANY:
        alike = [name for name in named if name.startswith(kind)]
        largest = sorted(alike, key=lambda n: (not supported[n], -ours.by_slice[n]["rows"], n))
        left_out |= {*largest[max(FEW, sum(supported[n] for n in alike)) :]}
    return [name for name in named if name not in left_out]


def _difference(
    ours: Evaluation, theirs: Evaluation, mask: np.ndarray, spec: GatesSpec, seed: int
) -> Difference:
    return paired(
        ours.loss[mask], theirs.loss[mask], ours.user[mask],
        margin=0.0, draws=spec.bootstrap_draws, seed=seed,
    )  # fmt: skip


def _chance(found: Difference) -> float:
    """Of a difference as large either way where there is none: the smaller tail, doubled."""
    if found.low == found.high == 0:  # the same losses row by row have no tails
        return 1.0
    return 2 * min(found.p_worse, 1 - found.p_worse)


def _supported(evaluation: Evaluation, name: str, spec: GatesSpec) -> bool:
    figures = evaluation.by_slice[name]
    fewer = min(figures["positives"], figures["rows"] - figures["positives"])
    return fewer >= spec.slice_min_positives
