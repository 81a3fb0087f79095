"""Which label definition works: group consistency, its window and its support."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

DEFINITION, SUPPORT = "labels.consistency.definition", "labels.consistency.min_support"
EXPECTATION = "labels.consistency.expectation"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "lift": {},
    "rate": {DEFINITION: "rate"},
    "lift_raw": {DEFINITION: "lift_raw"},
    "soft": {DEFINITION: "soft"},
    "lift by a regression": {EXPECTATION: "regression"},
    "soft by a regression": {DEFINITION: "soft", EXPECTATION: "regression"},
    "lift ≥ 1.3": {"labels.consistency.threshold": 1.3},
    "lift ≥ 2": {"labels.consistency.threshold": 2.0},
    "lift, support 5": {SUPPORT: 5},
    "lift, support 50": {SUPPORT: 50},
    "interest of 1 day": {"labels.interest_hours": 24},
    "interest of 7 days": {"labels.interest_hours": 168},
}
QUICK = ("lift", "rate")
# Share of training rows with the wrong a_k.
FLIPPED = (0.1, 0.3)


def _entries(quick: bool) -> Iterator[Entry]:
    for label, changes in VARIANTS.items():
        if quick and label not in QUICK:
            continue
        for world in common.worlds(quick, profile=changes):
            yield from common.entries(world, common.EXIT, quick, label=label, seeds=2,
                                      rows=common.thin(quick))  # fmt: skip
    for share in FLIPPED[: 1 if quick else None]:
        for world in common.worlds(quick):
            yield from common.entries(
                world, common.EXIT, quick, label=f"lift, {share:.0%} turned round", seeds=2,
                rows=replace(common.thin(quick), flipped=share),
            )  # fmt: skip


LABELS = Study(
    question="EXIT under other definitions of its labels, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(("lift",)),
    sentence=common.differing,
)
