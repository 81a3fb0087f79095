"""How far seeds alone move the figures."""

from collections.abc import Iterator
from dataclasses import replace

from exit_pipeline.experiments.report import number
from exit_pipeline.experiments.results import Reference, Results
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study


def _spreads(results: Results) -> str:
    said = [f"{g.world} {g.label} {number(g.spread('auc'), 5)}" for g in results.groups]
    return f"Standard deviation of AUC over seeds: {', '.join(said)}."


def _entries(quick: bool) -> Iterator[Entry]:
    models = common.OFTEN
    for world in common.worlds(quick):
        for model in models[:2] if quick else models:
            for first in common.entries(world, model, quick, seeds=1, rows=common.thin(quick)):
                yield from (replace(first, seed=seed) for seed in range(2 if quick else 5))


SEEDS = Study(
    question="The spread over seeds, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(common.BASELINES),
    sentence=_spreads,
)
