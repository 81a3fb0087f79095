"""Commands about models: train, evaluate, promote, rollback, models."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress
from exit_pipeline.cli.policy import print_cost
from exit_pipeline.errors import UsageError

VersionArgument = Annotated[str, typer.Argument(help="A version's number, or an alias.")]


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    for command in (train, evaluate, promote, rollback, models):
        app.command()(command)


def train(profile: ProfileOption = "simulated", json: Json = False) -> None:
    """Trains EXIT and its baseline on the newest mature days, and registers a challenger."""
    settings, lake, found = open_profile(profile)
    with progress("training", total=1, quiet=json) as update:
        from exit_pipeline.registry.life import train as train_one

        trained = train_one(settings, lake, found, lambda d, t, text: update(d / t, text))
    if json:
        emit({"version": trained.version, "lineage": trained.lineage, "history": trained.history})
        return
    console.print(
        f"version {trained.version} is the challenger; `evaluate` and `promote` come next"
    )


def evaluate(
    version: VersionArgument = "challenger",
    profile: ProfileOption = "simulated",
    json: Json = False,
) -> None:
    """Evaluates a version against its baseline and the champion, and says what the gates say."""
    _, lake, found = open_profile(profile)
    with progress("evaluating", quiet=json):
        from exit_pipeline.registry.life import cost_of_policy, evaluate_version

        number, decision, scored = evaluate_version(lake, found, version)
        cost = cost_of_policy(lake, found, number)
    if json:
        figures = {role: evaluation.to_dict() for role, evaluation in scored.items()}
        policy = cost and cost.to_dict()
        emit({"version": number, "decision": decision.to_dict(), "policy": policy, **figures})
        return
    table = Table("model", "AUC", "GAUC", "logloss", "ECE", "predicted/actual")
    for role, evaluation in scored.items():
        m = evaluation.metrics
        names = ("auc", "gauc", "logloss", "ece", "predicted_to_actual")
        table.add_row(role, *(f"{m[n]:.4f}" if m[n] is not None else "n/a" for n in names))
    console.print(table)
    _print_gates(decision)
    if cost:
        print_cost(cost)


def promote(
    version: VersionArgument = "challenger",
    profile: ProfileOption = "simulated",
    force: Annotated[str | None, typer.Option(help="Promote whatever the gates say; why?")] = None,
    json: Json = False,
) -> None:
    """Makes a version champion if every gate lets it (else exit code 3)."""
    _, lake, found = open_profile(profile)
    with progress("asking the gates", quiet=json):
        from exit_pipeline.registry import Registry
        from exit_pipeline.registry.life import evaluate_version

        registry = Registry(lake.home, found.name)
        if force is not None:
            if not force.strip():
                raise UsageError("a forced promotion needs a reason", mend='--force "why"')
            number, decision = registry.get(version).version, None
            promoted = registry.force(number, force)
        else:
            number, decision, _ = evaluate_version(lake, found, version)
            promoted = registry.decide(number, decision)
    if json:
        gates = decision and decision.to_dict()
        emit({"version": number, "promoted": promoted, "decision": gates})
        return
    if decision:
        _print_gates(decision)
    already = "" if promoted else " already; nothing was changed"
    console.print(f"version {number} is the champion{already}")


def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "by hand",
    to: Annotated[int | None, typer.Option(help="A version; by default the one before.")] = None,
    profile: ProfileOption = "simulated",
    json: Json = False,
) -> None:
    """Makes an earlier champion champion again."""
    _, lake, found = open_profile(profile)
    from exit_pipeline.registry import CHAMPION, Registry

    registry = Registry(lake.home, found.name)
    left = registry.number(CHAMPION)
    version = registry.rollback(reason, to, left)
    if json:
        emit({"version": version, "left": left, "reason": reason})
        return
    instead = f", instead of version {left}" if left else ""
    console.print(f"version {version} is the champion again{instead}")


def models(profile: ProfileOption = "simulated", json: Json = False) -> None:
    """Lists versions, why each was promoted or refused, and who held which alias."""
    _, lake, found = open_profile(profile)
    from exit_pipeline.registry import Registry

    registry = Registry(lake.home, found.name)
    versions = registry.versions()
    if json:
        emit({"versions": [v.to_dict() for v in versions], "history": registry.history()})
        return
    table = Table("version", "aliases", "AUC", "logloss", "decision", "reason")
    for one in versions:
        auc, logloss = (
            f"{one.metrics[n]:.4f}" if n in one.metrics else "" for n in ("auc", "logloss")
        )
        aliases = ", ".join(one.aliases)
        table.add_row(str(one.version), aliases, auc, logloss, one.decision, one.reason)
    console.print(table)
    for entry in registry.history():
        console.print(f"  {entry['at']}  {entry['alias']} → {entry['version']}: {entry['reason']}")


def _print_gates(decision: Any) -> None:
    table = Table("gate", "passed", "measured", "limit")
    for gate in decision.gates:
        table.add_row(gate.name, "yes" if gate.passed else "NO", gate.measured, gate.limit)
    console.print(table)
    console.print(decision.reason)
