"""Who is best with all the rows."""

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.specs import WORLDS, RowsSpec
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

# With the sources' own impressions among the training rows.
MIXED = {"pooled": ("features", "pooled"), "relabelled": ("features", "relabelled")}

BASELINES = Study(
    question="EXIT and every baseline, with all the rows",
    entries=lambda quick: (
        [
            entry
            for world in common.worlds(quick, WORLDS)
            for model in (*common.baselines(quick), common.EXIT)
            for entry in common.entries(world, model, quick)
        ]
        + [
            entry
            for world in common.worlds(quick, WORLDS)
            for label, (model, kind) in MIXED.items()
            for entry in common.entries(world, model, quick, label=label, rows=RowsSpec(kind=kind))
        ]
        + [e for world in common.worlds(quick, WORLDS) for e in common.oracle(world, quick)]
    ),
    reference=Reference((*common.BASELINES, *MIXED)),
    sentence=common.against,
    subject=common.EXIT,
)
