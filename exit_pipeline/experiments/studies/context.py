"""What the scene is worth: without context columns, and without the groups' history too."""

from collections.abc import Iterator, Mapping

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

COLUMNS = ("hour_band", "day_kind", "place")
PARTS, SOURCES = ("support", "lift", "carries"), ("search", "channel")
HISTORY = ("group_shown", "group_rate", *(f"{p}_{s}" for p in PARTS for s in SOURCES))
PLACES: Mapping[str, tuple[str, ...]] = {
    "everything": (),
    "no context": COLUMNS,
    "no context, no history of groups": (*COLUMNS, *HISTORY),
}


def _entries(quick: bool) -> Iterator[Entry]:
    for world in common.worlds(quick):
        for x, without in list(PLACES.items())[: 2 if quick else None]:
            for model in ("trees", "features", common.EXIT):
                yield from common.entries(world, model, quick, x=x, without=without, seeds=2,
                                          rows=common.thin(quick))  # fmt: skip


CONTEXT = Study(
    question="EXIT without what says where a request came from, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(common.BASELINES),
    sentence=common.against,
    axis="inputs",
)
