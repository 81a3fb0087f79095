"""A version against its rivals on the same rows; what the gates say of it, and while it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from exit_pipeline.evaluation import Decision, Evaluation, decide, evaluate
from exit_pipeline.evaluation.rows import spread
from exit_pipeline.lake import Lake
from exit_pipeline.profile import Profile
from exit_pipeline.ranking.policy import refusal
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.ranking.split import largest_gap
from exit_pipeline.registry.lineage import check_rows, code_version, made_from, seen_days
from exit_pipeline.registry.models import Registry
from exit_pipeline.registry.recipe import NAMES
from exit_pipeline.registry.rows import evaluation_rows
from exit_pipeline.registry.version import Version
from exit_pipeline.validation.verdicts import failed_checks

EVALUATION = "evaluation.json"  # what is kept with a version
SAMPLE = 2000  # rows on which the net taken apart must say what the model says


@dataclass(frozen=True)
class Contest:
    """A version and its rivals, scored on the version's evaluation part.

    Args:
        scorers: By role: `model`, `baseline` and, where that is fair, `champion`.
        scored: Their evaluations.
        rows: What they scored.
        seen: Which of the rows the champion was fitted on; empty where none.
    """

    scorers: dict[str, Scorer]
    scored: dict[str, Evaluation]
    rows: pa.Table
    seen: str


def contest(lake: Lake, profile: Profile, found: Version, champion: Version | None) -> Contest:
    """Scores a version and its rivals; nothing is written.

    Args:
        lake: Where the training set is, at the version that the model was made from.
        profile: Names the segment.
        found: The version.
        champion: The champion; where it is the version itself there is none to compare with.

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
    return Contest(scorers, scored, rows, seen)


def judge(
    lake: Lake,
    profile: Profile,
    found: Version,
    champion: Version | None,
    at: datetime,
    held: Contest,
) -> Decision:
    """Asks the gates about a version; nothing is written.

    Args:
        lake: Where the tables are whose checks must have passed.
        profile: The gates.
        found: The version.
        champion: The champion.
        at: When the question is asked, which decides the champion's age.
        held: What the version and these rivals scored.
    """
    spec, scored, model = profile.spec, held.scored, held.scorers["model"].model
    asked = question(lake, profile, found, champion, at)
    decision = decide(
        scored["model"], scored["baseline"], scored.get("champion"), spec.gates,
        champion_age_days=(at - champion.created) / timedelta(days=1) if champion else None,
        failed_checks=asked["failed_checks"], withdrawn=asked["withdrawn"],
        seen_by_champion=held.seen,
        serving_gap=largest_gap(model, spec, spread(held.rows, SAMPLE)),
        ungoverned=refusal(spec.policy, model), seed=spec.training.seed,
    )  # fmt: skip
    return replace(decision, champion=asked["champion"], question=asked)


def question(
    lake: Lake, profile: Profile, found: Version, champion: Version | None, at: datetime
) -> dict[str, Any]:
    """What the gates' answer hangs on, beside the version and its rows; JSON-able, and cheap.

    Where all of it is as it was, so is the answer.
    """
    return {
        "champion": champion.version if champion else None,
        # Whole days: a limit of days is crossed when one has passed.
        "champion_age_days": (at - champion.created).days if champion else None,
        # A blocking check stops what is downstream only within its own run: see what it said.
        "failed_checks": failed_checks(lake, profile.spec),
        "withdrawn": found.withdrawn,
        "profile": hashlib.sha256(profile.spec.model_dump_json().encode()).hexdigest(),
        "code": code_version(),
    }


def kept_decision(
    lake: Lake, profile: Profile, found: Version, champion: Version | None, at: datetime
) -> Decision | None:
    """What the gates said when they were last asked; None where now they may say otherwise.

    Args:
        lake: As for `judge`, as are the others.
        profile: The gates.
        found: The version.
        champion: The champion.
        at: When it is to hold.

    Raises:
        RegistryError: The lake holds other rows than the version was made from.
    """
    document = Registry(lake.home, profile.name).document(found.version, EVALUATION)
    kept: Mapping[str, Any] = (document or {}).get("decision", {})
    if kept.get("question") != question(lake, profile, found, champion, at):
        return None
    check_rows(lake, found)
    return Decision.read(kept)
