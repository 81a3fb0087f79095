"""Gathers what the report of a version shows; every figure is of its evaluation part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exit_pipeline.evaluation import Decision, Evaluation, PolicyCost, policy_cost
from exit_pipeline.lake import Lake
from exit_pipeline.lake.duck import open_duckdb
from exit_pipeline.model.inputs import InputSpec
from exit_pipeline.profile import Profile, ProfileSpec
from exit_pipeline.ranking.policy import Policy, conditions
from exit_pipeline.registry import Registry
from exit_pipeline.registry.judging import contest, judge, kept_decision
from exit_pipeline.registry.recipe import NAMES
from exit_pipeline.registry.rows import evaluation_rows
from exit_pipeline.registry.version import Version
from exit_pipeline.report.compare import Comparison, compare
from exit_pipeline.report.transfer import TransferMap, transfer_maps
from exit_pipeline.settings import Settings

ROLES = {"model": "this version", "baseline": "target-only", "champion": "champion"}


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Args:
        version: The version, its decisions and what it was made from.
        spec: The profile.
        decision: What the gates say of it.
        champion: The one that it was measured against; None for the first.
        scored: Evaluations by role: `model`, `baseline` and, where that is fair, `champion`.
        maps: What transfers where, by source.
        cost: What the profile's policy does to the evaluation part; None without a policy.
        comparisons: Against each rival.
        history: Epochs by role.
        inputs: The columns that the model reads.
    """

    version: Version
    spec: ProfileSpec
    decision: Decision
    champion: Version | None
    scored: dict[str, Evaluation]
    maps: list[TransferMap]
    cost: PolicyCost | None
    comparisons: list[Comparison]
    history: dict[str, list[dict[str, Any]]]
    inputs: InputSpec


def build_report(
    settings: Settings,
    lake: Lake,
    profile: Profile,
    which: int | str,
) -> Report:
    """Scores a version's evaluation part again, and gathers what there is to say.

    The same version, champion, policy and rows give the same report: a decision that was taken
    is measured against the champion of that moment. Charts need each row's score, which is not
    kept; the gates are asked again only where what they said does not hold any more.

    Args:
        settings: Memory limit.
        lake: Where the training set is.
        profile: Its gates and names.
        which: A version or alias.

    Raises:
        RegistryError: There is no such version, or the lake holds other rows than it was made from.
        ProfileError: A rule of the policy names what the model does not know.
        UsageError: The model cannot be governed.
    """
    registry = Registry(lake.home, profile.name)
    version = registry.get(which)
    champion, at = _measured_against(registry, version)
    held = contest(lake, profile, version, champion)
    decision = kept_decision(lake, profile, version, champion, at)
    if decision is None:
        decision = judge(lake, profile, version, champion, at, held)
    scored, rules, model = held.scored, profile.spec.policy, held.scorers["model"].model
    rows = evaluation_rows(lake, version, [model], ("unit", "cell", *conditions(rules)))
    # One thread: a mean is then the same sum each time.
    with open_duckdb(settings.memory_limit, 1, lake.home.spill) as connection:
        maps = transfer_maps(connection, rows, held.scorers["model"], Policy(rules, model))
    gates, seed = profile.spec.gates, profile.spec.training.seed
    rivals = [role for role in ("baseline", "champion") if role in scored]
    return Report(
        version=version,
        spec=profile.spec,
        decision=decision,
        champion=champion,
        scored=scored,
        maps=maps,
        cost=policy_cost(model, rules, rows) if rules else None,
        comparisons=[
            compare(scored["model"], scored[r], ROLES[r], gates, seed) for r in rivals
        ],
        history={ROLES[role]: held.scorers[role].model.history for role in NAMES},
        inputs=model.encoder.spec,
    )  # fmt: skip


def _measured_against(registry: Registry, version: Version) -> tuple[Version | None, datetime]:
    """The champion when the version was decided on, and when; today's where it was not."""
    moves = registry.moves()
    crowned = [n for n, entry in enumerate(moves) if entry["version"] == version.version]
    if crowned:
        at, moves = moves[crowned[0]]["at"], moves[: crowned[0]]
    elif version.history:
        at = version.history[-1]["at"]
        moves = [entry for entry in moves if entry["at"] <= at]
    else:
        at = datetime.now(UTC).isoformat()
    champion = registry.get(moves[-1]["version"]) if moves else None
    return champion, datetime.fromisoformat(at)
