"""The command `status`: how far the data is, what is held up, and which model answers."""

from __future__ import annotations

import json as parser
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress
from exit_pipeline.errors import ExitPipelineError

if TYPE_CHECKING:
    from exit_pipeline.lake import Lake
    from exit_pipeline.profile import Profile

Told = dict[str, Any]
Answer = TypeVar("Answer")


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(status)


def status(profile: ProfileOption = "simulated", json: Json = False) -> None:
    """Says how far the data is, what is held up, which model answers, and what failed last."""
    _, lake, found = open_profile(profile)
    problems: list[str] = []
    data = _data(lake, found, problems)
    if not json:  # before MLflow, which takes seconds to import
        _print_data(data)
    with progress("asking the registry", quiet=json):
        models = _asked(lambda: _models(lake, found), problems) or {}
    if json:
        emit({"profile": found.name, "home": str(lake.home.root), **data, **models,
              "problems": problems})  # fmt: skip
        return
    _print_models(models)
    for problem in problems:
        _say("PROBLEM", problem)


def _asked(ask: Callable[[], Answer], problems: list[str]) -> Answer | None:
    """What is away must not hide the rest: it is told as a problem."""
    try:
        return ask()
    except ExitPipelineError as error:
        problems.append(error.what)
        return None


def _data(lake: Lake, profile: Profile, problems: list[str]) -> Told:
    from exit_pipeline.ingest import landed_days
    from exit_pipeline.labels import last_landed, missing_day, newest_day
    from exit_pipeline.monitoring.failures import newest_failure
    from exit_pipeline.validation.verdicts import failed_checks

    landed = _asked(lambda: landed_days(profile, lake.home), problems)
    return {
        "landed": max(landed or (), default=None),
        "ingested": last_landed(lake),
        "missing": missing_day(lake),
        "labelled": newest_day(lake, "icl_labels"),
        "unfit": failed_checks(lake, profile.spec),
        "online": _online(lake),
        "failure": newest_failure(lake.home),
    }


def _online(lake: Lake) -> dict[str, str]:
    """The newest day of each feature view that was brought online."""
    file = lake.home.online_days
    days = parser.loads(file.read_text("utf-8")) if file.exists() else {}
    return {view: max(told) for view, told in days.items() if told}


def _models(lake: Lake, profile: Profile) -> Told:
    """The champion, and the newest version where that is another one."""
    if not lake.home.mlflow.exists() and not os.environ.get("MLFLOW_TRACKING_URI"):
        return {"champion": None, "challenger": None}
    from exit_pipeline.registry import CHALLENGER, CHAMPION, Registry

    registry = Registry(lake.home, profile.name)
    champion, newest = registry.find(CHAMPION), registry.find(CHALLENGER)
    told: Told = {"champion": None, "challenger": None}
    if champion:
        named = CHAMPION, champion.version  # not so where somebody moved the alias by hand
        told_of = [e for e in registry.history() if (e["alias"], e["version"]) == named]
        moved = told_of[-1] if told_of else {"at": None, "reason": "moved by hand"}
        age = (datetime.now(UTC) - champion.created) / timedelta(days=1)
        told["champion"] = {"version": champion.version, "since": moved["at"],
                            "age_days": round(age, 2), "reason": moved["reason"]}  # fmt: skip
    if newest and (champion is None or newest.version != champion.version):
        told["challenger"] = {name: getattr(newest, name) for name in
                              ("version", "decision", "reason")}  # fmt: skip
    return told


def _say(what: str, text: str) -> None:
    console.print(f"{what:<11} {text}", soft_wrap=True)


def _print_data(data: Told) -> None:
    ingested = f"ingested up to {data['ingested']}" if data["ingested"] else "nothing is ingested"
    _say("landed", f"{data['landed']}, {ingested}" if data["landed"] else ingested)
    if data["missing"]:
        _say("MISSING", f"{data['missing']}: what it would mature waits; land it, or an empty file")
    _say("labels", f"up to {data['labelled']}" if data["labelled"] else "none yet")
    for failed in data["unfit"]:
        _say("NOT PASSED", failed)
    if data["ingested"] and not data["unfit"]:
        _say("checks", "all passed")
    days = set(data["online"].values())
    each = ", ".join(f"{view} {day}" for view, day in data["online"].items())
    _say("online", f"features up to {days.pop()}" if len(days) == 1 else each or "no features yet")
    if failure := data["failure"]:
        steps = ", ".join(failure.get("steps", ())) or "no step"
        why = (failure["why"].splitlines() or [""])[0]
        _say("failed last", f"{failure['at']} {failure.get('job')} ({steps}): {why}")


def _print_models(models: Told) -> None:
    if champion := models.get("champion"):
        age = f"trained {champion['age_days']:.1f} days ago"
        since = f" since {champion['since']}" if champion["since"] else ""
        _say("champion", f"version {champion['version']}{since}, {age}: {champion['reason']}")
    elif "champion" in models:
        _say("champion", "none yet")
    if newest := models.get("challenger"):
        _say("challenger", f"version {newest['version']} {newest['decision']}: {newest['reason']}")
