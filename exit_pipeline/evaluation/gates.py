"""The gates of promotion: what a challenger must show on the rows that it and its rivals scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from exit_pipeline.evaluation.bootstrap import Difference, holm, paired
from exit_pipeline.evaluation.challenger import (
    GateResult,
    fair,
    governed,
    not_by_heart,
    not_withdrawn,
    of_itself,
    served_as_trained,
)
from exit_pipeline.evaluation.evaluate import Evaluation
from exit_pipeline.profile.learning import GatesSpec


@dataclass(frozen=True)
class Decision:
    """Promote or refuse, with the reason in a sentence and every gate's result.

    It holds while `champion`, the version that was champion when it was made, still is, and what
    else it hangs on is as `question` says.
    """

    promote: bool
    reason: str
    gates: list[GateResult]
    champion: int | None = None
    question: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """Takes back what `to_dict` gave."""
        return cls(**{**kept, "gates": [GateResult(**gate) for gate in kept["gates"]]})

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


def decide(
    challenger: Evaluation,
    target_only: Evaluation,
    champion: Evaluation | None,
    spec: GatesSpec,
    *,
    champion_age_days: float | None = None,
    failed_checks: Sequence[str] = (),
    withdrawn: str = "",
    seen_by_champion: str = "",
    serving_gap: float = 0.0,
    ungoverned: str = "",
    seed: int = 0,
) -> Decision:
    """Decides whether a challenger becomes champion.

    Args:
        challenger: The new model.
        target_only: The baseline trained on the same rows.
        champion: The one in production, scored on the same rows; None for the first model, which
            is gated against target-only alone.
        spec: The limits.
        champion_age_days: Age of the champion.
        failed_checks: Names of upstream blocking checks that failed.
        withdrawn: Why the challenger was rolled back from earlier; empty where it was not.
        seen_by_champion: Which of the rows the champion was fitted on, so that no comparison is
            fair; empty where none. Such a champion is not given.
        serving_gap: By how much what serves it differs at most (see `largest_gap`).
        ungoverned: Why the profile's policy cannot govern the challenger; empty where it can.
        seed: Of the bootstrap's draws.

    Returns:
        The decision. A tie does not promote, unless the champion is older than its limit.
    """
    against_base = _compare(challenger, target_only, spec, seed)
    gates = [*of_itself(challenger, spec, failed_checks)]
    gates.append(not_by_heart(challenger.memorized, target_only.memorized, spec))
    gates += [not_withdrawn(withdrawn), fair(seen_by_champion)]
    gates += [served_as_trained(serving_gap), governed(ungoverned)]
    gates.append(_not_worse("not worse than target-only", against_base, spec))
    rival, against = target_only, against_base
    if champion is not None:
        rival, against = champion, _compare(challenger, champion, spec, seed)
        gates.append(_not_worse("not worse than the champion", against, spec))
    gates.append(_on_slices(challenger, rival, spec, seed))
    gates.append(_worth_it(against, champion is not None, champion_age_days, spec))
    failed = [gate for gate in gates if not gate.passed]
    if failed:
        reasons = "; ".join(f"{g.name}: {g.measured} (limit {g.limit})" for g in failed)
        return Decision(False, f"refused by {reasons}", gates)
    name = "the champion" if champion is not None else "target-only"
    return Decision(True, f"logloss {_interval(against)} against {name}; every gate passed", gates)


def _compare(ours: Evaluation, theirs: Evaluation, spec: GatesSpec, seed: int) -> Difference:
    return paired(
        ours.loss, theirs.loss, ours.user,
        margin=spec.logloss_margin, draws=spec.bootstrap_draws, seed=seed,
    )  # fmt: skip


def _not_worse(name: str, difference: Difference, spec: GatesSpec) -> GateResult:
    """Not worse beyond the margin: all of the paired 95 % interval lies at or below it.

    Too few rows to say so refuse: that a model is not surely worse is no reason to trust it.
    """
    return GateResult(
        name, difference.high <= spec.logloss_margin,
        f"logloss {_interval(difference)}", f"all of it ≤ +{spec.logloss_margin}",
    )  # fmt: skip


def _on_slices(ours: Evaluation, theirs: Evaluation, spec: GatesSpec, seed: int) -> GateResult:
    """No supported slice may be surely worse than the margin, after Holm's correction."""
    chances = {}
    for name, mask in ours.masks.items():
        positives = ours.y[mask].sum()
        if min(positives, mask.sum() - positives) < spec.slice_min_positives:
            continue
        difference = paired(
            ours.loss[mask], theirs.loss[mask], ours.user[mask],
            margin=spec.logloss_margin, draws=spec.bootstrap_draws, seed=seed,
        )  # fmt: skip
        chances[name] = difference.p_worse
    worse = sorted(holm(chances, spec.slice_alpha))
    measured = f"worse on {', '.join(worse)}" if worse else f"none of {len(chances)} is worse"
    limit = f"+{spec.logloss_margin} at {spec.slice_alpha} after Holm"
    return GateResult("supported slices", not worse, measured, limit)


def _worth_it(
    difference: Difference, has_champion: bool, age_days: float | None, spec: GatesSpec
) -> GateResult:
    better = difference.high < 0
    if not has_champion:
        # The first model has no champion to beat: not being worse than target-only is enough.
        return GateResult("worth it", True, "no champion to beat", "better, or the first")
    old = age_days is not None and age_days > spec.champion_max_age_days
    measured = "better" if better else f"not surely better ({_interval(difference)})"
    if age_days is not None:
        measured += f", champion {age_days:.0f} days old"
    limit = f"better, or a champion older than {spec.champion_max_age_days} days"
    return GateResult("worth it", better or old, measured, limit)


def _interval(difference: Difference) -> str:
    return f"{difference.mean:+.5f} [{difference.low:+.5f}, {difference.high:+.5f}]"
