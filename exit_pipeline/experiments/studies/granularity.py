"""How fine a group should be: from no scene at all to the finest."""

from collections.abc import Iterator, Mapping

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

# Cells of each: 1, 2, 4, 12, 24, 96.
GROUPS: Mapping[str, list[str]] = {
    "none": [],
    "day_kind": ["day_kind"],
    "hour_band": ["hour_band"],
    "hour_band × place": ["hour_band", "place"],
    "hour_band × place × day_kind": ["hour_band", "place", "day_kind"],
    "hour_band × place × day_kind × segment": ["hour_band", "place", "day_kind", "segment"],
}
RIVALS = ("trees", "features")
QUICK = ("none", "hour_band × place")


def _entries(quick: bool) -> Iterator[Entry]:
    for x in QUICK if quick else GROUPS:
        for world in common.worlds(quick, profile={"group": GROUPS[x]}):
            for model in (*common.baselines(quick, RIVALS), common.EXIT):
                yield from common.entries(
                    world, model, quick, x=x, seeds=2, rows=common.thin(quick)
                )


GRANULARITY = Study(
    question="EXIT with groups from everyone to the finest, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(common.BASELINES),
    sentence=common.against,
    axis="group",
)
