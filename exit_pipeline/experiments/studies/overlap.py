"""Sources that share few users or items with the feed, or none that can be told: is it harmless?"""

from collections.abc import Iterator, Mapping
from typing import Any

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

PLACES: Mapping[str, Mapping[str, Any]] = {
    "all shared": {},
    "users 50 %": {"shared_users": 0.5},
    "users 10 %": {"shared_users": 0.1},
    "users 0 %": {"shared_users": 0.0},
    "items 50 %": {"shared_items": 0.5},
    "items 10 %": {"shared_items": 0.1},
    "items 0 %": {"shared_items": 0.0},
    "users shuffled": {"shuffled": True},
}
RIVALS = ("target_only", "trees")
QUICK = ("all shared", "users shuffled")


def _entries(quick: bool) -> Iterator[Entry]:
    for x in QUICK if quick else PLACES:
        for world in common.worlds(quick, simulation=PLACES[x]):
            for model in (*common.baselines(quick, RIVALS), common.EXIT):
                yield from common.entries(
                    world, model, quick, x=x, seeds=2, rows=common.thin(quick)
                )


OVERLAP = Study(
    question="EXIT where sources and feed share less and less, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(("target_only",)),
    sentence=common.against,
    axis="shared",
)
