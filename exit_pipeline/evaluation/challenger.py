"""The gates that ask what a challenger is by itself, whoever is champion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exit_pipeline.evaluation.evaluate import Evaluation
from exit_pipeline.profile.learning import GatesSpec
from exit_pipeline.training.memorized import Memorized

SERVING_GAP = 1e-5
Z95 = 1.959964


@dataclass(frozen=True)
class GateResult:
    """One gate: what was measured, against which limit."""

    name: str
    passed: bool
    measured: str
    limit: str


def of_itself(
    challenger: Evaluation, spec: GatesSpec, failed_checks: Sequence[str]
) -> Iterator[GateResult]:
    """What was checked before it, whether it is calibrated, and what it lets transfer."""
    told = ", ".join(failed_checks) or "all passed"
    yield GateResult("upstream checks", not failed_checks, told, "no blocking check failed")
    yield _calibrated(challenger, spec)
    yield from (_carries(source, challenger, spec) for source in challenger.transfer)


def _calibrated(found: Evaluation, spec: GatesSpec) -> GateResult:
    """Absolute errors are small where outcomes are rare, so their number is asked for too."""
    error, expected, came = found.metrics["ece"], found.score.sum(), found.y.sum()
    few, many = _poisson(float(came))
    few, many = (1 - spec.max_miscalibration) * few, (1 + spec.max_miscalibration) * many
    return GateResult(
        "calibrated", bool(error <= spec.max_ece and few <= expected <= many),
        f"ECE {error:.4f}, {expected:,.0f} outcomes expected where {came:,.0f} came",
        f"≤ {spec.max_ece}, {max(few, 0):,.0f} … {many:,.0f}",
    )  # fmt: skip


def _poisson(count: float) -> tuple[float, float]:
    """The 95 % interval of a Poisson mean of which one count was seen, by the normal's score."""
    centre, reach = count + Z95**2 / 2, Z95 * math.sqrt(count + Z95**2 / 4)
    return max(centre - reach, 0.0), centre + reach


def _carries(source: str, found: Evaluation, spec: GatesSpec) -> GateResult:
    """Mean p_tr must be mean a times something near 1.

    Where mean a is near 0 their ratio says little: p_tr may then be above it by a little, and below
    it as far as chance puts mean a itself, but never collapse where a does not.
    """
    name, (low, high) = f"transfer from {source}", spec.transfer_collapse
    rows, ratio = found.shown[source], found.transfer[source]
    said, label = found.p_transfer[source], found.consistent[source]
    least = low * max(label - Z95 * math.sqrt(label * (1 - label) / max(rows, 1)), 0.0)
    most = max(high * label, label + spec.max_idle_transfer)
    limit = f"{least:.3f} … {most:.3f}"
    if rows < spec.transfer_min_rows:
        return GateResult(name, True, f"{rows} rows: too few to say", limit)
    times = "" if ratio is None else f", {ratio:.2f} times"
    measured = f"mean p_tr {said:.3f} where mean a is {label:.3f}{times}"
    return GateResult(name, least <= said <= most, measured, limit)


def not_by_heart(found: Memorized | None, base: Memorized | None, spec: GatesSpec) -> GateResult:
    """Thin groups must not lose much more from training to validation than the others do.

    What target-only loses there too is no work of the scene selector: thin groups are also where
    new items are, of which ids say nothing yet.
    """
    name, limit = "thin groups not memorized", f"≤ {spec.max_memorized} beyond target-only"
    if found is None or found.rows < spec.transfer_min_rows:
        rows = 0 if found is None else found.rows
        return GateResult(name, True, f"{rows} rows: too few to say", limit)
    usual = max(base.gap, 0.0) if base else 0.0
    lost = f"{abs(found.gap):.4f} {'less' if found.gap < 0 else 'more'}"
    measured = f"thin groups lose {lost} logloss than the others (target-only: {usual:.4f})"
    return GateResult(name, found.gap - usual <= spec.max_memorized, measured, limit)


def not_withdrawn(reason: str) -> GateResult:
    """A version that was rolled back from comes back by hand alone."""
    measured = f"rolled back from: {reason}" if reason else "never"
    return GateResult("not withdrawn", not reason, measured, "never rolled back from")


def fair(seen: str) -> GateResult:
    """A champion that was fitted on these rows cannot be compared on them."""
    limit = "evaluation days that the champion was not fitted on"
    return GateResult("fair comparison", not seen, seen or "unseen rows", limit)


def served_as_trained(gap: float) -> GateResult:
    """What serves it takes the net apart, and must say the same."""
    measured = f"scores differ by at most {gap:.1e} before calibration"
    return GateResult("served as trained", gap <= SERVING_GAP, measured, f"≤ {SERVING_GAP}")


def governed(problem: str) -> GateResult:
    """A model that the policy cannot govern would be refused by whatever serves it."""
    limit = "every rule of the policy is about something that it knows"
    return GateResult("can be governed", not problem, problem or "it can", limit)
