"""What each policy earns where the simulator answers: the A/B test that a log cannot give."""

from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

SUM = "exit, sum (the paper's)"

ABTEST = Study(
    question="Orders, turnover and negative feedback of each ranking policy",
    entries=lambda quick: (
        [
            entry
            for world in common.worlds(quick)
            for model, label, settings in (
                *((name, name, {}) for name in (*common.baselines(quick), common.EXIT)),
                (common.EXIT, SUM, common.PAPER),
            )
            for entry in common.entries(world, model, quick, settings, label)
        ]
        + [entry for world in common.worlds(quick) for entry in common.oracle(world, quick)]
    ),
    reference=Reference(("target_only",)),
    sentence=common.against,
    columns=("seeds", "CTCVR", "Δ CTCVR", "Δ CTR", "Δ GTV", "negative", "Δ negative", "AUC"),
)
