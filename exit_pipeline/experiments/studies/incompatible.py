"""Interest that must not come over: from no unit to half of them never transferring."""

from collections.abc import Iterator

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

UNITS = 24
NEVER, QUICK, STANDARD = (0, 3, 5, 9, 12), (5, 12), 5


def _entries(quick: bool) -> Iterator[Entry]:
    for never in QUICK if quick else NEVER:
        changes = {} if never == STANDARD else {"never": never}
        for world in common.worlds(quick, simulation=changes):
            for model in (*common.baselines(quick), common.EXIT):
                yield from common.entries(
                    world, model, quick, x=_share(never), seeds=2, rows=common.thin(quick)
                )


def _share(never: int) -> str:
    return f"{100 * never / UNITS:.0f} %"


INCOMPATIBLE = Study(
    question="Every model where more and more units never transfer, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(("target_only",)),
    sentence=common.against,
    axis="never transfers",
    columns=("seeds", "AUC", "Δ AUC", "p/e, never units", "p/e, nothing transfers",
             "p/e, much transfers", "negative", "Δ negative", "Δ CTCVR"),
)  # fmt: skip
