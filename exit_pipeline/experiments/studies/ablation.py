"""What each part of EXIT is worth."""

from collections.abc import Iterator, Mapping
from typing import Any

from exit_pipeline.experiments.networks import Scoring
from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.specs import RowsSpec
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study

# The gate asks p_transfer: where that follows nothing there is none to ask.
OPEN = {"model.trunk": "open"}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    common.EXIT: {},
    "without ICL (λ₃ = 0), no gate": {"training.lambda_transfer": 0.0, **OPEN},
    "without source loss (λ₂ = 0)": {"training.lambda_source": 0.0},
    "without either, no gate": {
        "training.lambda_transfer": 0.0,
        "training.lambda_source": 0.0,
        **OPEN,
    },
    "sides on the embeddings": {"model.side_gradient": 1.0},
    "sources by the carry alone": {"model.trunk": "closed"},
    "trunk without a gate": OPEN,
    "gate whatever the rows": {"model.gate_rows": 1e12},
    "no resistance": {"model.resistance": False},
    "sources never hidden": {"model.source_dropout": 0.0},
    "no SSN, no gate": {"model.ssn": "constant", **OPEN},
    "single towers (one net, no ensemble)": {"model.members": 1},
    "source interest before": {"model.source_label": "before"},
    "source interest graded": {"model.source_label": "graded"},
    "sum, L1, no gate": {**common.PAPER, "model.sum_loss": "l1"},
    "sum, Huber, no gate": {**common.PAPER, "model.sum_loss": "huber"},
    "sum, squared, no gate": {**common.PAPER, "model.sum_loss": "squared"},
}
SHARES = {"100 %": 1.0, "8 %": common.THIN.share}


def _entries(quick: bool) -> Iterator[Entry]:
    few = 4 if quick else None
    for world in common.worlds(quick):
        for x, share in list(SHARES.items())[: 1 if quick else None]:
            for label, settings in list(VARIANTS.items())[:few]:
                yield from common.entries(
                    world, common.EXIT, quick, settings, label, 2, rows=RowsSpec(share), x=x
                )
            raw = Scoring(calibrated=False)
            yield from common.entries(
                world, common.EXIT, quick, None, "no calibration", 2,
                rows=RowsSpec(share), x=x, scoring=raw,
            )  # fmt: skip


ABLATION = Study(
    question="EXIT with a part taken away or replaced",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference((common.EXIT,)),
    sentence=common.differing,
    axis="rows",
)
