"""What more sources bring, and what they cost."""

from collections.abc import Iterator

from exit_pipeline.experiments.report import STANDARD
from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

COUNTS, QUICK = (1, 2, 4, 8, 16), (2, 3)
RIVALS = ("target_only", "trees", "features")


def _entries(quick: bool) -> Iterator[Entry]:
    for count in QUICK if quick else COUNTS:
        # Two sources are the standard world, which other studies have made already.
        changes = {} if count == 2 else {"sources": count}
        for world in common.worlds(quick, ("A",), simulation=changes):
            for model in (*common.baselines(quick, RIVALS), common.EXIT):
                yield from common.entries(
                    world, model, quick, x=f"{count}", seeds=2, rows=common.thin(quick)
                )


SOURCES = Study(
    question="EXIT with more and more sources, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(common.BASELINES),
    sentence=common.against,
    axis="sources",
    columns=(*STANDARD, "seconds of tables"),
)
