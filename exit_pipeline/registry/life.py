"""A model's life: trained and registered, evaluated against its rivals, promoted or refused."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exit_pipeline.evaluation import (
    Decision,
    Evaluation,
    PolicyCost,
    decide,
    evaluate,
    policy_cost,
)
from exit_pipeline.evaluation.rows import spread
from exit_pipeline.lake import Lake
from exit_pipeline.monitoring.drift import REFERENCE, make_reference
from exit_pipeline.privacy import Forgotten
from exit_pipeline.profile import Profile
from exit_pipeline.ranking.policy import conditions, refusal
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.ranking.split import largest_gap
from exit_pipeline.registry.lineage import (
    FITTED,
    TABLE,
    check_rows,
    code_version,
    describe,
    files_of,
    made_from,
    seen_days,
    stored_days,
)
from exit_pipeline.registry.models import CHAMPION, Registry
from exit_pipeline.registry.recipe import NAMES, Recipe
from exit_pipeline.registry.rows import evaluation_rows
from exit_pipeline.registry.version import Version
from exit_pipeline.settings import Settings
from exit_pipeline.training import load_model, split_days
from exit_pipeline.training.checkpoint import folder_for
from exit_pipeline.training.loop import Progress
from exit_pipeline.validation.verdicts import failed_checks

SAMPLE = 2000  # rows on which the net taken apart must say what the model says


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
    from exit_pipeline.feast_stores.repo import register_version_service

    spec = profile.spec
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
    register_version_service(settings, lake.home, profile, version)
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
    decision, scored = judge(lake, profile, found, champion, datetime.now(UTC))
    figures = {role: evaluation.to_dict() for role, evaluation in scored.items()}
    metrics = {n: v for n, v in scored["model"].metrics.items() if v is not None}
    metrics |= {f"transfer_{s}": v for s, v in scored["model"].transfer.items() if v is not None}
    document = {**figures, "decision": decision.to_dict()}
    registry.record(found.version, metrics, "evaluation.json", document)
    return found.version, decision, scored


def judge(
    lake: Lake,
    profile: Profile,
    found: Version,
    champion: Version | None,
    at: datetime,
) -> tuple[Decision, dict[str, Evaluation]]:
    """Scores a version and its rivals, and asks the gates; nothing is written.

    Args:
        lake: Where the training set is, at the version that the model was made from.
        profile: Its gates.
        found: The version.
        champion: The champion; where it is the version itself there is none to compare with.
        at: When the question is asked, which decides the champion's age.

    Raises:
        RegistryError: The lake holds other rows than the version was made from.
    """
    registry = Registry(lake.home, profile.name)
    check_rows(lake, found)
    folders = {role: registry.folder(found.version, role) for role in NAMES}
    rival = champion if champion and champion.version != found.version else None
    seen = seen_days(rival, made_from(found)["split"]["evaluation"]) if rival else ""
    if rival and not seen:
        folders["champion"] = registry.folder(rival.version)
    scorers = {role: Scorer.load(folder) for role, folder in folders.items()}
    models, segment = [scorer.model for scorer in scorers.values()], profile.spec.segment
    rows = evaluation_rows(lake, found, models, [segment] if segment else [])
    scored = {role: evaluate(scorer, rows, segment) for role, scorer in scorers.items()}
    model, sample = scorers["model"].model, spread(rows, SAMPLE)
    # A blocking check stops what is downstream only within its own run: look for what it said.
    failed = failed_checks(lake, profile.spec)
    age = (at - champion.created) / timedelta(days=1) if champion else None
    decision = decide(
        scored["model"], scored["baseline"], scored.get("champion"), profile.spec.gates,
        champion_age_days=age, failed_checks=failed, withdrawn=found.withdrawn,
        seen_by_champion=seen, serving_gap=largest_gap(model, profile.spec, sample),
        ungoverned=refusal(profile.spec.policy, model), seed=profile.spec.training.seed,
    )  # fmt: skip
    return replace(decision, champion=champion.version if champion else None), scored


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
