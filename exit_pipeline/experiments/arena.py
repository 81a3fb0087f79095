"""One entry of a comparison: fitted once, scored on the evaluation rows, kept under its key."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from exit_pipeline.errors import UsageError
from exit_pipeline.evaluation.metrics import summary
from exit_pipeline.evaluation.rows import outcomes
from exit_pipeline.experiments.code import code_digest
from exit_pipeline.experiments.contenders import CONTENDERS, SIZES, Fitted, Task
from exit_pipeline.experiments.making import prepare
from exit_pipeline.experiments.measures import draws, measure, rows_of
from exit_pipeline.experiments.networks import AS_FITTED, fit
from exit_pipeline.experiments.oracle import ORACLE, Oracle
from exit_pipeline.experiments.overrides import overridden
from exit_pipeline.experiments.runs import Entry, Run
from exit_pipeline.experiments.trees import TreeSpec
from exit_pipeline.experiments.tuned import tuned_settings
from exit_pipeline.experiments.worlds import World
from exit_pipeline.lock import exclusive
from exit_pipeline.model.encoders import DOMAIN
from exit_pipeline.settings import Settings

# What decides a run beside its entry and its world.
CODE = (
    "model", "training", "experiments/arena.py", "experiments/networks.py", "experiments/trees.py",
    "experiments/popularity.py", "experiments/contenders.py", "experiments/oracle.py",
    "experiments/measures.py", "experiments/bootstrap.py", "experiments/slices.py",
    "evaluation/metrics.py", "ranking/scorer.py", "sql/model_common.sql", "sql/model_edges.sql",
    "sql/model_vocabulary.sql", "sql/training_rows.sql",
)  # fmt: skip
# And what decides how it is scored under a policy.
SCORING = ("ranking/policy.py", "profile/policy.py")
SECTIONS = ("model.", "training.", "trees.")
PACKAGES = ("torch", "numpy", "lightgbm", "tabm")
LOCK_SECONDS = 6 * 3600.0


def fit_entry(entry: Entry, settings: Settings) -> Run:
    """Fits an entry and keeps what it scored; one that stands already is only read.

    Args:
        entry: Which.
        settings: Threads, memory and the home.
    """
    world = prepare(entry.world, settings)
    task = _task(entry, world)
    root, key = settings.home.absolute() / "experiments", _key(entry, world, task)
    folder = root / "runs" / (key + _suffix(entry))
    refusal = UsageError("another process has long been fitting this entry", where=str(folder))
    with exclusive(folder.with_suffix(".lock"), LOCK_SECONDS, refusal):
        if not (folder / "figures.json").exists():
            _run(entry, world, task, folder, root / "networks" / key)
    return Run(entry, folder)


def validate(entry: Entry, settings: Settings) -> dict[str, Any]:
    """Fits an entry and looks at the validation days alone; nothing of it is kept.

    Args:
        entry: Which.
        settings: Threads, memory and the home.

    Returns:
        See `evaluation.metrics.summary`.
    """
    world = prepare(entry.world, settings)
    return _validation(world, CONTENDERS[entry.model](_task(entry, world)))


def _run(entry: Entry, world: World, task: Task, folder: Path, network: Path) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fitted: Fitted
    if entry.model == ORACLE:
        fitted, seconds = Oracle.of(world), 0.0
    else:
        fitted, seconds = fit(entry.model, task, entry.scoring, network)
    rows = rows_of(world, task.parts["train"], task.model.min_id_count, entry.rows.held_out)
    found = fitted.score(world.evaluation)
    np.save(partial / "score.npy", found["score"])
    np.savez(partial / "draws.npz", **draws(rows, found["score"]))  # type: ignore[arg-type]
    _ask(world, fitted, partial)
    figures = {
        "entry": asdict(entry),
        "seconds": round(seconds, 1),
        "tables_seconds": world.seconds,
        "evaluation": measure(rows, found),
        "validation": _validation(world, fitted),
        "history": fitted.history,
    }
    (partial / "figures.json").write_text(json.dumps(figures, default=str), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _ask(world: World, fitted: Fitted, folder: Path) -> None:
    question = world.question
    if question is not None:
        earned = question.answer(fitted.score(question.rows)["score"])
        np.savez(folder / "earned.npz", **earned, shown=question.exposures())  # type: ignore[arg-type]


def _validation(world: World, fitted: Fitted) -> dict[str, Any]:
    rows = world.validation
    y, user = outcomes(rows)
    return summary(y, fitted.score(rows)["score"], user)


def _task(entry: Entry, world: World) -> Task:
    spec = world.profile.spec
    tuned = tuned_settings(entry.world, entry.model) if entry.tuned else {}
    changes = {**SIZES.get(entry.model, {}), **tuned, **entry.settings,
               "training.seed": entry.seed}  # fmt: skip
    for key in changes:
        if not key.startswith(SECTIONS):
            raise UsageError(f"there is no setting {key!r}", mend=f"begin with {SECTIONS}")
    model, training, trees = (
        {key.removeprefix(part): v for key, v in changes.items() if key.startswith(part)}
        for part in SECTIONS
    )
    inputs = world.inputs.without(entry.without)
    if entry.rows.kind == "pooled":
        inputs = replace(inputs, categorical=(*inputs.categorical, DOMAIN))
    return Task(
        inputs=inputs,
        parts=world.rows(entry.rows),
        unit=world.unit,
        outcome=spec.outcome,
        model=overridden(spec.model, model),
        training=overridden(spec.training, training),
        trees=overridden(TreeSpec(), trees),
        settings=world.settings,
        scratch=world.folder / "scratch",
    )


def _key(entry: Entry, world: World, task: Task) -> str:
    decides = {
        "model": entry.model,
        "world": [entry.world.key, world.digest],
        "settings": [s.model_dump(mode="json") for s in (task.model, task.training, task.trees)],
        "rows": [entry.rows.to_dict(), task.inputs.to_dict()],
        "place": [task.settings.device, *map(version, PACKAGES)],
        "code": code_digest(*CODE),
    }
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return f"{entry.model}-{digest[:16]}"


def _suffix(entry: Entry) -> str:
    """Tells apart what was scored otherwise than it was fitted."""
    if entry.scoring == AS_FITTED:
        return ""
    decides = [entry.scoring.to_dict(), code_digest(*SCORING)]
    return "-" + hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:8]
