"""How much the auxiliary losses should weigh."""

from collections.abc import Iterator

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

SOURCE, TRANSFER = (0.0, 0.1, 1.0), (0.03, 0.1, 0.3, 1.0)
TARGET = (0.3, 1.0, 3.0)


def _entries(quick: bool) -> Iterator[Entry]:
    grid = [(s, t) for s in SOURCE for t in TRANSFER][: 2 if quick else None]
    rows = common.thin(quick)
    for world in common.worlds(quick, ("A",)):
        yield from common.entries(world, common.EXIT, quick, seeds=2, rows=rows)
        for source, transfer in grid:
            settings = {"training.lambda_source": source, "training.lambda_transfer": transfer}
            label = f"λ₂ {source}, λ₃ {transfer}"
            yield from common.entries(world, common.EXIT, quick, settings, label, 2, rows)
        for target in () if quick else TARGET:
            paper = {**common.PAPER, "training.lambda_target": target}
            label = f"sum, λ₁ {target}"
            yield from common.entries(world, common.EXIT, quick, paper, label, 2, rows)


LAMBDAS = Study(
    question="The weights of EXIT's losses, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference((common.EXIT,)),
    sentence=common.differing,
)
