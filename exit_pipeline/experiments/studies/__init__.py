"""The studies by name; a study that is not built is not here."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from exit_pipeline.experiments.studies.ablation import ABLATION
from exit_pipeline.experiments.studies.abtest import ABTEST
from exit_pipeline.experiments.studies.baselines import BASELINES
from exit_pipeline.experiments.studies.context import CONTEXT
from exit_pipeline.experiments.studies.data import DATA
from exit_pipeline.experiments.studies.granularity import GRANULARITY
from exit_pipeline.experiments.studies.incompatible import INCOMPATIBLE
from exit_pipeline.experiments.studies.labels import LABELS
from exit_pipeline.experiments.studies.lambdas import LAMBDAS
from exit_pipeline.experiments.studies.loop import run_loop
from exit_pipeline.experiments.studies.overlap import OVERLAP
from exit_pipeline.experiments.studies.policy import POLICY
from exit_pipeline.experiments.studies.seeds import SEEDS
from exit_pipeline.experiments.studies.sources import SOURCES
from exit_pipeline.experiments.study import Study, run_study
from exit_pipeline.experiments.tuning import run_tuning

STUDIES: Mapping[str, Study] = {
    "baselines": BASELINES,
    "ablation": ABLATION,
    "data": DATA,
    "labels": LABELS,
    "abtest": ABTEST,
    "lambdas": LAMBDAS,
    "granularity": GRANULARITY,
    "sources": SOURCES,
    "context": CONTEXT,
    "overlap": OVERLAP,
    "incompatible": INCOMPATIBLE,
    "seeds": SEEDS,
    "policy": POLICY,
}

# What the command `experiment` runs: the studies, the tuning that they start from, and the loop.
EXPERIMENTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    **{name: partial(run_study, name, study) for name, study in STUDIES.items()},
    "tuning": run_tuning,
    "loop": run_loop,
}
