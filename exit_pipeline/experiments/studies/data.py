"""Who is right earliest: shares of the rows, a scene and a source held out until the last days."""

from collections.abc import Iterator
from typing import Any

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.specs import WORLDS, HeldOut, RowsSpec, WorldSpec
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

SHARES = {"2 %": 0.02, "8 %": common.THIN.share, "25 %": 0.25, "100 %": 1.0}
QUICK_SHARES = {"50 %": 0.5}
MODELS, QUICK_MODELS = (*common.BASELINES, common.EXIT), ("trees", common.EXIT)
# The last two training days alone have the scene; the newest source has three of them.
SCENE = HeldOut("place", "out", days=2)
SOURCE_FROM = 17


def _entries(quick: bool) -> Iterator[Entry]:
    for world in common.worlds(quick, WORLDS):
        for x, share in (QUICK_SHARES if quick else SHARES).items():
            yield from _all(world, quick, x, rows=RowsSpec(share))
        if world.simulated:
            yield from _all(world, quick, "scene held out", rows=RowsSpec(held_out=SCENE))
        if world.simulated and not quick:
            late = WorldSpec(world.name, world.size, {"last_source_from": SOURCE_FROM})
            yield from _all(late, quick, "source held out")


def _all(world: WorldSpec, quick: bool, x: str, **more: Any) -> Iterator[Entry]:
    for model in QUICK_MODELS if quick else MODELS:
        yield from common.entries(world, model, quick, x=x, **more)


DATA = Study(
    question="From how few rows each model is right",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference(common.BASELINES),
    sentence=common.against,
    axis="rows",
    subject=common.EXIT,
)
