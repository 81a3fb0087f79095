"""Whether the champion says of newly matured days what it said of the days it was promoted on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from exit_pipeline.errors import ModelFileError, RegistryError
from exit_pipeline.evaluation import Evaluation, evaluate
from exit_pipeline.evaluation.bootstrap import Difference, paired
from exit_pipeline.evaluation.rows import read_rows
from exit_pipeline.lake import Lake
from exit_pipeline.lake.paths import hive_value
from exit_pipeline.monitoring.drift import newest_files
from exit_pipeline.profile import Profile
from exit_pipeline.profile.monitoring import MonitoringSpec
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.registry.lineage import made_from, seen_days
from exit_pipeline.registry.models import CHAMPION, Registry

HOLDS, RETRAIN, ROLL_BACK = "holds", "retrain", "roll back"


@dataclass(frozen=True)
class Standing:
    """How the champion stands on newly matured days.

    Args:
        version: The champion.
        verdict: `holds`, `retrain` or `roll back`.
        reason: In a sentence.
        now: Its figures on those days; empty where there are none.
        then: Its figures at promotion.
        back_to: The champion before it, where that is to come back.
    """

    version: int
    verdict: str
    reason: str
    now: Mapping[str, Any]
    then: Mapping[str, Any]
    back_to: int | None = None


def stand(lake: Lake, profile: Profile) -> Standing | None:
    """Scores days that the champion was not evaluated on, and holds that against its promotion.

    Returns:
        None where there is no champion.

    Raises:
        RegistryError: The registry cannot be read.
        ModelFileError: The champion's files cannot.
    """
    registry, spec = Registry(lake.home, profile.name), profile.spec.monitoring
    champion = registry.find(CHAMPION)
    if champion is None:
        return None
    told = registry.document(champion.version, "evaluation.json")
    if told is None:
        return Standing(champion.version, HOLDS, "it was promoted without an evaluation", {}, {})
    then = told["model"]["all"]
    last = date.fromisoformat(made_from(champion)["split"]["evaluation"][-1])
    files = newest_files(lake, spec.days, after=last)
    if not files:
        return Standing(champion.version, HOLDS, "no day is newer than its evaluation", {}, then)
    scorer = Scorer.load(registry.folder(champion.version))
    found = evaluate(scorer, read_rows(files, [scorer.model]))
    verdict, reason = judge(found.metrics, then, spec)
    back_to = None
    if verdict == ROLL_BACK:
        back_to, why = _better(registry, found, files, profile)
        verdict, reason = (ROLL_BACK if back_to else RETRAIN), f"{reason}; {why}"
    return Standing(champion.version, verdict, reason, found.metrics, then, back_to)


def judge(now: Mapping[str, Any], then: Mapping[str, Any], spec: MonitoringSpec) -> tuple[str, str]:
    """Says what a champion's figures ask for, and why.

    Logloss is held against that of always saying the days' own rate: where more is clicked, the
    same model has a higher logloss.

    Args:
        now: `logloss`, `predicted_to_actual`, `rows` and `positives` of newly matured days.
        then: The same at promotion.
        spec: The limits; a second one lies `rollback_factor` times as far.
    """
    if now["positives"] < spec.min_positives:
        return HOLDS, f"{now['positives']} positives are too few to say"
    entropy = normalized_entropy(now), normalized_entropy(then)
    rise = entropy[0] / entropy[1] - 1
    ratio = now["predicted_to_actual"] / (then["predicted_to_actual"] or 1.0)
    shift = max(ratio, 1 / ratio) - 1
    beyond = max(rise / spec.max_logloss_rise, shift / spec.max_calibration_shift)
    reason = (
        f"logloss {then['logloss']:.4f} → {now['logloss']:.4f} ({rise:+.1%} beside that of the "
        f"base rate, limit {spec.max_logloss_rise:+.1%}), predicted/actual moved by "
        f"{ratio - 1:+.1%} (limit {spec.max_calibration_shift:.1%} either way)"
    )
    if beyond > spec.rollback_factor:
        return ROLL_BACK, reason
    return (RETRAIN if beyond > 1 else HOLDS), reason


def normalized_entropy(figures: Mapping[str, Any]) -> float:
    """Logloss ÷ the entropy of the base rate p, −p · ln p − (1 − p) · ln(1 − p) (He et al. 2014).

    Below 1 a model knows more than the rate. Half a row is added to both outcomes (ours), so that
    days of one outcome have an entropy.
    """
    rate = (figures["positives"] + 0.5) / (figures["rows"] + 1)
    return figures["logloss"] / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))


def _better(
    registry: Registry, found: Evaluation, files: list[str], profile: Profile
) -> tuple[int | None, str]:
    """The champion before, if it is surely better on rows that it was not fitted on; and why."""
    number = registry.earlier()
    if number is None:
        return None, "there is no earlier champion that was not itself rolled back from"
    earlier = registry.get(number)
    first, last = _days(files)
    if seen := seen_days(earlier, (first, last)):
        return None, seen
    try:
        scorer = Scorer.load(registry.folder(number))
        rival = evaluate(scorer, read_rows(files, [scorer.model]))
    except (ModelFileError, RegistryError) as error:  # of another profile, or damaged
        return None, f"version {number} cannot be scored: {error.what}"
    told = _against(found, rival, profile)
    words = f"against version {number} {told.mean:+.4f} [{told.low:+.4f}, {told.high:+.4f}]"
    return (number if told.low > 0 else None), words


def _against(champion: Evaluation, earlier: Evaluation, profile: Profile) -> Difference:
    gates = profile.spec.gates
    return paired(
        champion.loss, earlier.loss, champion.user,
        margin=0.0, draws=gates.bootstrap_draws, seed=profile.spec.training.seed,
    )  # fmt: skip


def _days(files: list[str]) -> tuple[str, str]:
    days = sorted(str(hive_value(file, "ds")) for file in files)
    return days[0], days[-1]
