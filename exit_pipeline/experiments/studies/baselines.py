"""Who is best with all the rows."""

from exit_pipeline.experiments.results import best_on_validation
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study
from exit_pipeline.experiments.worlds import WORLDS

BASELINES = Study(
    question="EXIT and every baseline, with all the rows",
    entries=lambda quick: [
        entry
        for world in common.worlds(quick, WORLDS)
        for model in (*common.BASELINES, common.EXIT)
        for entry in common.entries(world, model, quick)
    ],
    reference=best_on_validation(common.BASELINES),
    sentence=common.against,
    subject=common.EXIT,
)
