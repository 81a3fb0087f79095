"""A model's life: trained and registered, evaluated against its rivals, promoted or refused."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exit_pipeline.errors import LakeError, TrainingError
from exit_pipeline.evaluation import Decision, Evaluation, PolicyCost, policy_cost
from exit_pipeline.lake import Lake
from exit_pipeline.monitoring.drift import REFERENCE, make_reference
from exit_pipeline.privacy import Forgotten
from exit_pipeline.profile import Profile
from exit_pipeline.ranking.policy import conditions
from exit_pipeline.registry.judging import EVALUATION, contest, judge, kept_decision
from exit_pipeline.registry.lineage import (
    FITTED,
    TABLE,
    check_rows,
    code_version,
    describe,
    files_of,
    stored_days,
)
from exit_pipeline.registry.models import CHAMPION, Registry
from exit_pipeline.registry.recipe import Recipe
from exit_pipeline.registry.rows import evaluation_rows
from exit_pipeline.registry.version import PASSED
from exit_pipeline.settings import Settings
from exit_pipeline.training import load_model, split_days
from exit_pipeline.training.checkpoint import folder_for
from exit_pipeline.training.loop import Progress


@dataclass(frozen=True)
class Trained:
    """A version that was just trained."""

    version: int
    lineage: dict[str, Any]
    history: dict[str, list[dict[str, Any]]]


def train(
    settings: Settings,
    lake: Lake,
    profile: Profile,
    progress: Progress = lambda done, total, text: None,
) -> Trained:
    """Trains EXIT and its target-only baseline, and registers both as one version.

    What the version reads is kept as a Feast feature service of its own, `ranking_vN`, and how its
    inputs were spread as a document beside it, against which new days are held. A training
    that was interrupted goes on from its last epoch, where rows, settings and code are the same.

    Raises:
        TrainingError: Too few days or rows, one class only, or the loss went wrong.
        LakeError: There is no training set, or someone is being forgotten.
    """
    with Forgotten(lake.home).learning():  # else a version could be registered that knows them
        return _train(settings, lake, profile, progress)


def _train(settings: Settings, lake: Lake, profile: Profile, progress: Progress) -> Trained:
    from exit_pipeline.feast_stores.repo import apply, register_version_service

    spec = profile.spec
    apply(settings, lake.home, profile)  # a store that is away is told of before hours of training
    recipe = Recipe.of(spec, settings.threads, settings.device, settings.workers)
    table_version = lake.open(TABLE).version()
    days = [day for day, state in stored_days(lake, table_version).items() if state.rows]
    split = split_days(days, spec.split, spec.labels.horizon_days)
    parts = {part: files_of(lake, split.to_dict()[part], table_version) for part in FITTED}
    decides = [code_version(), recipe.to_dict(), parts]
    checkpoints = folder_for(lake.home.spill / "training", decides)
    with lake.home.scratch() as scratch:
        described = recipe.train(parts, scratch, settings.memory_limit, progress, checkpoints)
        hashes = {role: description["sha256"] for role, description in described.items()}
        lineage = describe(recipe, lake, profile, split, table_version, hashes)
        params = {**spec.model.model_dump(), **spec.training.model_dump()}
        folders = {role: scratch / role for role in described}
        registry = Registry(lake.home, profile.name)
        kept = {REFERENCE: make_reference(settings, lake.home, folders["model"], parts["train"])}
        version = registry.register(folders, params, lineage, spec.policy, kept)
    shutil.rmtree(checkpoints, ignore_errors=True)
    try:
        register_version_service(settings, lake.home, profile, version)
    except LakeError as error:  # tried again, the step would train and register another version
        raise TrainingError(
            f"version {version} is registered, its feature service is not: {error.what}",
            where=error.where,
            mend="evaluate and promote it by hand, or train another",
        ) from error
    return Trained(version, lineage, {role: d["history"] for role, d in described.items()})


def evaluate_version(
    lake: Lake, profile: Profile, which: int | str
) -> tuple[int, Decision, dict[str, Evaluation]]:
    """Evaluates a version, its baseline and the champion on the version's evaluation days.

    The figures and what the gates say are kept with the version.

    Args:
        lake: Where the training set is, at the version that the model was made from.
        profile: Its gates.
        which: A version or alias.

    Returns:
        The version's number, the decision, and the evaluations by role.

    Raises:
        RegistryError: There is no such version, or the lake holds other rows than it was made from.
    """
    registry = Registry(lake.home, profile.name)
    found, champion = registry.get(which), registry.find(CHAMPION)
    held = contest(lake, profile, found, champion)
    decision = judge(lake, profile, found, champion, datetime.now(UTC), held)
    figures = {role: evaluation.to_dict() for role, evaluation in held.scored.items()}
    model = held.scored["model"]
    metrics = {n: v for n, v in model.metrics.items() if v is not None}
    metrics |= {f"transfer_{s}": v for s, v in model.transfer.items() if v is not None}
    metrics |= {PASSED: float(decision.promote)}
    document = {**figures, "decision": decision.to_dict()}
    registry.record(found.version, metrics, EVALUATION, document)
    return found.version, decision, held.scored


def decision_about(lake: Lake, profile: Profile, which: int | str) -> tuple[int, Decision]:
    """Returns what the gates say of a version now: what is kept, where it still holds.

    It does not where another is champion, a check failed since, the version was rolled back from,
    or settings, code or the champion's age changed: then the version is evaluated again.

    Args:
        lake: As for `evaluate_version`, as are the others.
        profile: Its gates.
        which: A version or alias.

    Raises:
        RegistryError: There is no such version, or the lake holds other rows than it was made from.
    """
    registry = Registry(lake.home, profile.name)
    found, champion = registry.get(which), registry.find(CHAMPION)
    kept = kept_decision(lake, profile, found, champion, datetime.now(UTC))
    if kept is not None:
        return found.version, kept
    version, decision, _ = evaluate_version(lake, profile, found.version)
    return version, decision


def cost_of_policy(lake: Lake, profile: Profile, which: int | str) -> PolicyCost | None:
    """Says what the profile's policy costs on a version's evaluation days; None without a policy.

    No gate reads it, and nothing is kept: a policy may change while the model stays.

    Raises:
        RegistryError: There is no such version, or the lake holds other rows than it was made from.
        ProfileError: A rule names what the model does not know.
        UsageError: The model cannot be governed.
    """
    if not profile.spec.policy:
        return None
    registry = Registry(lake.home, profile.name)
    found = registry.get(which)
    check_rows(lake, found)
    model, policy = load_model(registry.folder(found.version)), profile.spec.policy
    return policy_cost(model, policy, evaluation_rows(lake, found, [model], conditions(policy)))
