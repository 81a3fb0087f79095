"""The loop closed: what a model shows becomes the log that its successor is trained on.

The simulator answers as the users. Every arm begins with the same history, is asked the same
requests with the same candidates, and the same follows the same item (common random numbers), so
that arms differ by what they show alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from exit_pipeline.experiments.studies.common import QUICK
from exit_pipeline.experiments.tables import build_tables
from exit_pipeline.files import write_text
from exit_pipeline.lake import Lake
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import Home, Settings
from exit_pipeline.simulator import Answer, SimulationConfig, World, simulate
from exit_pipeline.simulator.live import live_days

ARMS, AGAINST = ("target_only", "mmoe", "exit"), "target_only"
CANDIDATES = 48
NAMES = {"ctcvr": "CTCVR", "gtv": "GTV", "negative": "negative feedback"}
HEAD = ("day", "arm", "models promoted", "trained on played days", "shown otherwise",
        *(column for name in NAMES.values() for column in (name, "Δ")))  # fmt: skip
# Days of history, and days that are then played.
FULL = SimulationConfig(days=12, users=1000, items=480), 20
TINY = SimulationConfig(days=9, users=60, items=48), 9
# The shortest parts that there are: what is shown is evaluated on two days later, calibrated on
# after four and trained on after eight: nine played days are the fewest that close the loop.
SPLIT = {"split.validation_days": 1, "split.calibration_days": 1, "split.evaluation_days": 1}


@dataclass(frozen=True)
class Played:
    """A day as it came about in every arm.

    Args:
        answer: What was earned by whom.
        promoted: Arm → models promoted up to that day.
        learned: Arm → played days that the model which ranked was trained on.
        otherwise: Arm → share of what it showed that target-only did not show to that request.
    """

    answer: Answer
    promoted: Mapping[str, int]
    learned: Mapping[str, int]
    otherwise: Mapping[str, float]

    @property
    def closed(self) -> bool:
        """Whether every arm's model was trained on what its predecessors showed."""
        return min(self.learned.values()) > 0


def run_loop(
    settings: Settings,
    *,
    quick: bool = False,
    out: Path | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> dict[str, Any]:
    """Plays some days with each arm, and writes what they earned by day.

    The arms' tables stay until the next call.

    Args:
        settings: Limits and the home.
        quick: A tiny world and network: shows that it runs.
        out: Folder of the report.
        progress: Told (done, total, text).
    """
    # The service's code and Feast: seconds that no other study should wait for.
    from exit_pipeline.experiments.arms import Arm

    (config, days), changes = (TINY, QUICK) if quick else (FULL, {})
    name = "loop-quick" if quick else "loop"
    root = settings.home.absolute() / "experiments"
    work = root / name
    shutil.rmtree(work, ignore_errors=True)
    history = _history(settings, config, work / "history")
    whole = replace(
        config, days=config.days + days, late_share=0.0, duplicate_share=0.0, broken_share=0.0
    )
    changes = {**SPLIT, **{k: v for k, v in changes.items() if not k.startswith("trees.")}}
    arms = [Arm(one, settings, history, work / one, World(whole), changes) for one in ARMS]
    played: list[Played] = []
    first = config.start + timedelta(days=config.days)
    for today in live_days(whole, config.days, CANDIDATES):
        day, shown = config.start + timedelta(days=today.day), {}
        for number, arm in enumerate(arms):
            done = len(played) * len(arms) + number
            progress(done, days * len(arms), f"{arm.name} on {day}")
            arm.learn()
            shown[arm.name] = arm.live(today, day)
        earned = {one: today.earned(what) for one, what in shown.items()}
        promoted = {arm.name: arm.promoted for arm in arms}
        learned = {arm.name: sum(one >= first for one in arm.trained) for arm in arms}
        otherwise = {one: _otherwise(what, shown[AGAINST]) for one, what in shown.items()}
        answer = Answer(earned, today.exposures(shown[AGAINST]))
        played.append(Played(answer, promoted, learned, otherwise))
    return {"study": "loop", **_report(out or root / "studies" / name, config, played)}


def _history(settings: Settings, config: SimulationConfig, folder: Path) -> Path:
    """A log by the simulator's own retrieval, and its tables."""
    simulate(config, folder / "log")
    profile = load_profile(folder / "log" / "profile")
    build_tables(settings, Lake(Home(folder / "home"), "loop"), profile)
    return folder


def _otherwise(shown: np.ndarray, reference: np.ndarray) -> float:
    """Share of what is shown, request by request, that the reference does not show."""
    pairs = zip(shown, reference, strict=True)
    return float(np.mean([np.isin(ours, theirs, invert=True).mean() for ours, theirs in pairs]))


def _report(out: Path, config: SimulationConfig, played: Sequence[Played]) -> dict[str, Any]:
    closed = [one for one in played if one.closed]
    days = {str(n): one for n, one in enumerate(played, 1)}
    sums = {name: _summed(some) for name, some in (("closed", closed), ("all", played)) if some}
    rows = [row for name, one in {**days, **sums}.items() for row in _rows(name, one)]
    title = f"The closed loop: {len(played)} days, {config.users} users"
    sentence = _sentence(sums, len(closed))
    lines = [f"# {title}", "", sentence, "", f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "table.md", "\n".join([*lines, ""]))
    document = {"title": title, "sentence": sentence, "rows": rows}
    write_text(out / "result.json", json.dumps(document, indent=1))
    write_text(out / "sentence.txt", sentence + "\n")
    return {"out": str(out), **document}


def _summed(played: Sequence[Played]) -> Played:
    per_user = {
        arm: {
            measure: np.sum([one.answer.per_user[arm][measure] for one in played], axis=0)
            for measure in NAMES
        }
        for arm in ARMS
    }
    shown = np.sum([one.answer.shown for one in played], axis=0)
    otherwise = {arm: float(np.mean([one.otherwise[arm] for one in played])) for arm in ARMS}
    last = played[-1]
    return Played(Answer(per_user, shown), last.promoted, last.learned, otherwise)


def _rows(day: str, one: Played) -> list[list[str]]:
    rows = []
    for arm in ARMS:
        cells = []
        for measure in NAMES:
            against = "" if arm == AGAINST else _against(one.answer, arm, measure)
            cells += [f"{one.answer.mean(arm, measure):.4f}", against]
        counts = [str(one.promoted[arm]), str(one.learned[arm])]
        rows.append([day, arm, *counts, f"{one.otherwise[arm]:.0%}", *cells])
    return rows


def _against(answer: Answer, arm: str, measure: str) -> str:
    mean, low, high = answer.difference(arm, AGAINST, measure)
    return f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]"


def _sentence(sums: Mapping[str, Played], closed: int) -> str:
    """What the arms earned since the loop is closed, apart from all days."""
    spans = {"closed": f"the {closed} days since models were trained on played days"}
    said = [_told(one, spans.get(name, "all days")) for name, one in sums.items()]
    return "; ".join(said if closed else ["no model was trained on a played day", *said]) + "."


def _told(one: Played, span: str) -> str:
    arms = [
        f"{arm} against {AGAINST}: "
        + ", ".join(f"{NAMES[measure]} {_against(one.answer, arm, measure)}" for measure in NAMES)
        for arm in ARMS
        if arm != AGAINST
    ]
    return f"over {span}, {'; '.join(arms)}"
