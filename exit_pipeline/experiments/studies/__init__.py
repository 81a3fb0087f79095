"""The studies by name; a study that is not built is not here."""

from collections.abc import Mapping

from exit_pipeline.experiments.studies.ablation import ABLATION
from exit_pipeline.experiments.studies.abtest import ABTEST
from exit_pipeline.experiments.studies.baselines import BASELINES
from exit_pipeline.experiments.studies.data import DATA
from exit_pipeline.experiments.studies.labels import LABELS
from exit_pipeline.experiments.study import Study

STUDIES: Mapping[str, Study] = {
    "baselines": BASELINES,
    "ablation": ABLATION,
    "data": DATA,
    "labels": LABELS,
    "abtest": ABTEST,
}
