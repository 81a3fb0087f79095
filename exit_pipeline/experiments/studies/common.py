"""What studies share: worlds, seeds, and how a difference is put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exit_pipeline.evaluation.bootstrap import holm
from exit_pipeline.experiments.contenders import CONTENDERS, rows_for
from exit_pipeline.experiments.oracle import ORACLE
from exit_pipeline.experiments.report import SOURCE, interval, percent
from exit_pipeline.experiments.results import LEVEL, Results
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.specs import SIMULATED, RowsSpec, WorldSpec

EXIT = "exit"
BASELINES = tuple(name for name in CONTENDERS if name != EXIT)
# What the secondary studies are fitted to: explicit transfer shows where data is thin, and a fit
# takes seconds.
THIN = RowsSpec(0.08)
# Five seeds for those that claims rest on, two for the others.
MANY, FEW = 5, 2
OFTEN = ("target_only", "trees", "features", "mmoe", EXIT)
# The paper's combination; it knows no gate on the trunk, and the weights that tuning found are of
# another loss.
PAPER: Mapping[str, Any] = {
    "model.combination": "sum", "model.trunk": "open",
    "training.lambda_source": 1.0, "training.lambda_transfer": 0.1,
}  # fmt: skip
# A quick study shows that everything runs; its figures say nothing.
QUICK: Mapping[str, Any] = {
    "training.epochs": 1, "training.batch_size": 256, "training.learning_rate": 0.01,
    "trees.rounds": 20, "model.members": 2, "model.hidden": (32, 32), "model.side_hidden": (16,),
}  # fmt: skip


def baselines(quick: bool, names: tuple[str, ...] = BASELINES) -> tuple[str, ...]:
    """Whom EXIT is compared with: two that are fitted at once where it is quick."""
    return ("popularity", "target_only") if quick else names


def worlds(quick: bool, names: Sequence[str] = SIMULATED, **changes: Any) -> list[WorldSpec]:
    """The worlds of a study: tiny and one alone where it is quick."""
    if quick:
        return [WorldSpec(names[0], "quick", **changes)]
    return [WorldSpec(name, **changes) for name in names]


def thin(quick: bool) -> RowsSpec:
    """The rows of a secondary study: all of the tiny world where it is quick."""
    return RowsSpec() if quick else THIN


def entries(
    world: WorldSpec, model: str, quick: bool, settings: Mapping[str, Any] | None = None,
    label: str | None = None, seeds: int | None = None, rows: RowsSpec | None = None, **more: Any,
) -> Iterator[Entry]:  # fmt: skip
    """One entry per seed: one where it is quick, else `seeds`, or as many as the model needs."""
    changes = {**(QUICK if quick else {}), **(settings or {})}
    usual = MANY if model in OFTEN else FEW
    rows = rows_for(model, rows or RowsSpec())
    for seed in range(1 if quick else seeds or usual):
        yield Entry(label or model, model, world, changes, seed, rows, **more)


def oracle(world: WorldSpec, quick: bool) -> Iterator[Entry]:
    """The planted chance where the world has one: how far anyone could go."""
    if world.simulated:
        yield from entries(world, ORACLE, quick, label="planted chance", seeds=1)


def against(results: Results, label: str = EXIT) -> str:
    """A sentence: the label against its reference in every place, whatever it shows.

    AUC is by the planted chance where that is known.
    """
    said = []
    for world, x in results.places():
        group = results.find(world, x, label)
        if group is None:
            continue
        rival = results.rival(group)
        place = f"{world}, {x}" if x else world
        found = [group.sharpest(rival, where) for where in ("all", SOURCE)]
        text = f"{place}: {label} against {rival.label}: AUC {interval(found[0])}"
        text += f", where y_s = 1 {interval(found[1])}"
        if group.earned:
            text += f", CTCVR {percent(group.earns(rival, 'ctcvr'))}"
            text += f", negative feedback {percent(group.earns(rival, 'negative'))}"
        said.append(text)
    return "; ".join(said) + "." if said else ""


def differing(results: Results) -> str:
    """A sentence: in each place, who is surely better or worse in AUC than the reference.

    Surely is: after Holm's correction over all that are compared there, and by more than the spread
    over seeds, which a single seed does not tell.
    """
    said = []
    for world, x in results.places():
        groups = results.at(world, x)
        rival = results.reference(groups)
        found = {g.label: g.sharpest(rival) for g in groups if g is not rival}
        sure = holm({label: i.p for label, i in found.items()}, LEVEL)
        noise = {g.label: max(g.spread("auc"), rival.spread("auc")) for g in groups}
        beyond = [n for n, i in found.items() if n in sure and not abs(i.mean) <= noise[n]]
        better = [label for label in beyond if found[label].mean > 0]
        worse = [label for label in beyond if found[label].mean < 0]
        place = f"{world}, {x}" if x else world
        how = "surely" if all(len(g.runs) > 1 for g in groups) else "with one seed"
        said.append(
            f"{place}: against {rival.label}, {how} better in AUC: {', '.join(better) or 'none'}; "
            f"{how} worse: {', '.join(worse) or 'none'}"
        )
    return ". ".join(said) + "."
