"""Tunes contenders on validation: a dozen trials each on a tenth of the rows, resumable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exit_pipeline.errors import ExitPipelineError, TrainingError, UsageError
from exit_pipeline.experiments.arena import CODE, validate
from exit_pipeline.experiments.code import code_digest
from exit_pipeline.experiments.contenders import rows_for
from exit_pipeline.experiments.making import prepare
from exit_pipeline.experiments.parallel import each
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.spaces import SPACES, TUNED, Space
from exit_pipeline.experiments.specs import RowsSpec, WorldSpec
from exit_pipeline.experiments.tuned import FILE, TUNED_ON, read_tuned
from exit_pipeline.files import write_text
from exit_pipeline.settings import Settings

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

TRIALS, SHARE, SEED = 12, 0.1, 7
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tuning:
    """A contender to be tuned on a world."""

    model: str
    world: WorldSpec
    trials: int = TRIALS


def tune(job: Tuning, settings: Settings) -> dict[str, Any]:
    """Looks for a contender's settings by validation logloss (Optuna's TPE, seeded).

    The first trial is the profile's own settings, so that tuning never ends worse than it began.
    Trials already made are kept in SQLite under the home and are not made again.

    Args:
        job: What to tune, and how many trials in all.
        settings: Threads and the home.

    Returns:
        `settings` (dotted, the best trial's), `logloss`, and `trials` with the same of each.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, folder = _space(job.model), settings.home.absolute() / "experiments" / "tuning"
    folder.mkdir(parents=True, exist_ok=True)
    rows, world = rows_for(job.model, RowsSpec(SHARE)), prepare(job.world, settings)
    decides = f"{code_digest(*CODE)} {world.digest} {rows} {SEED} {sorted(space.items())}"
    study = optuna.create_study(
        storage=f"sqlite:///{folder / f'{job.world.key}-{job.model}.db'}",
        study_name=hashlib.sha256(decides.encode()).hexdigest(), load_if_exists=True,
    )  # fmt: skip
    entry = Entry(job.model, job.model, job.world, rows=rows, tuned=False)
    while (done := len(_ended(study))) < job.trials:
        # A seed for each trial, so that a study that goes on draws what it would have drawn.
        study.sampler = optuna.samplers.TPESampler(seed=SEED + done, n_startup_trials=5)
        trial = study.ask()
        changes = _draw(space, trial) if done else {}
        trial.set_user_attr("settings", changes)
        try:
            found = validate(replace(entry, settings=changes), settings)
        except TrainingError:
            # Settings that diverge are a trial like any other: tried, and no good.
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, found["logloss"])
    whole = _whole(study)
    if not whole:
        raise TrainingError(
            f"none of {job.trials} trials of {job.model} came to an end",
            where=job.world.name, mend="narrow its space in experiments/spaces.py",
        )  # fmt: skip
    best = min(whole, key=lambda t: (t.value, t.number))
    return {
        "settings": best.user_attrs["settings"],
        "logloss": best.value,
        "trials": [{"settings": t.user_attrs["settings"], "logloss": t.value} for t in whole],
    }


def run_tuning(
    settings: Settings,
    *,
    quick: bool = False,
    out: Path | None = None,
    progress: Progress = lambda done, total, text: None,
) -> dict[str, Any]:
    """Tunes every contender on A and on Complete Journey, with the same budget for all.

    Args:
        settings: Cores and the home.
        quick: Two trials of one contender on a tiny world; the record of others stays as it is.
        out: Where the report goes; by default under `EXIT_HOME/experiments/studies`.
        progress: Called with contenders done, contenders in all, and a line of text.

    Returns:
        What `result.json` holds, and the report's folder.

    Raises:
        ExitPipelineError: The first contender that failed; the others' records are kept.
    """
    folder = out or settings.home.absolute() / "experiments" / "studies" / (
        "tuning-quick" if quick else "tuning"
    )
    worlds = [WorldSpec("A", "quick")] if quick else [WorldSpec(name) for name in TUNED_ON]
    jobs = [
        Tuning(model, world, 2 if quick else TRIALS)
        for world in worlds for model in (("trees",) if quick else TUNED)
    ]  # fmt: skip
    for world in worlds:
        prepare(world, settings)
    held: dict[str, Any] = {} if quick else read_tuned()
    failed = []
    for done, (number, found) in enumerate(each(tune, jobs, settings, here=quick), 1):
        job = jobs[number]
        if isinstance(found, ExitPipelineError):
            failed.append(found)
            continue
        held.setdefault(job.world.name, {})[job.model] = found
        if not quick:
            write_text(FILE, json.dumps(held, indent=1, sort_keys=True) + "\n")
        progress(done, len(jobs), f"{job.world.name} {job.model}: {found['logloss']:.5f}")
    if failed:
        raise failed[0]
    return {"study": "tuning", "out": str(folder), **_report(folder, held)}


def _report(folder: Path, held: Mapping[str, Any]) -> dict[str, Any]:
    lines = ["| world | model | trials | default | best | settings |", f"|{'---|' * 6}"]
    gains = []
    for world, models in held.items():
        for model, found in models.items():
            first = found["trials"][0]["logloss"]
            chosen = ", ".join(f"{k} {_short(v)}" for k, v in found["settings"].items())
            lines.append(f"| {world} | {model} | {len(found['trials'])} | {first:.5f} | "
                         f"{found['logloss']:.5f} | {chosen or 'as they were'} |")  # fmt: skip
            gains.append(f"{world} {model} {found['logloss'] - first:+.5f}")
    title = f"Validation logloss on {SHARE:.0%} of the rows, {TRIALS} trials each"
    sentence = f"Tuning changed validation logloss by: {', '.join(gains)}."
    document = {"title": title, "sentence": sentence, "tuned": held}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", "\n".join([f"# {title}", "", sentence, "", *lines, ""]))
    write_text(folder / "result.json", json.dumps(document, indent=1))
    write_text(folder / "sentence.txt", sentence + "\n")
    return document


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _space(model: str) -> Space:
    if model not in SPACES:
        raise UsageError(f"{model!r} has nothing to tune", mend=f"one of {', '.join(SPACES)}")
    return SPACES[model]


def _draw(space: Space, trial: BaseTrial) -> dict[str, Any]:
    return {key: part.draw(trial, key) for key, part in space.items()}


def _ended(study: Any) -> list[Any]:
    """Trials that were fitted or failed; one that a process left behind is drawn again."""
    return [t for t in study.trials if t.state.name in ("COMPLETE", "FAIL")]


def _whole(study: Any) -> list[Any]:
    return [trial for trial in study.trials if trial.value is not None]
