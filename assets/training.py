"""From training set to champion: the candidate, its evaluation, its promotion, its report."""

import time
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.jobs import BEGAN
from assets.plots import learning_curve, reliability
from assets.resources import Pipeline
from assets.retries import RETRY, decided

_COMMON: dict[str, Any] = {"group_name": "model", "retry_policy": RETRY}


@asset(deps=["training_set"], kinds={"pytorch", "mlflow"}, pool="training", **_COMMON)
def candidate_model(
    context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
) -> MaterializeResult:
    """EXIT and its target-only baseline, trained on the newest mature days and registered."""
    from exit_pipeline.registry.life import train

    began = time.time()
    with decided():
        trained = train(
            pipeline.settings, pipeline.lake(context.run.run_id), pipeline.profile,
            lambda done, total, text: context.log.debug(f"{done}/{total} {text}"),
        )  # fmt: skip
    return MaterializeResult(
        data_version=DataVersion(trained.lineage["sha256"]["model"]),
        metadata={
            "version": trained.version,
            # What lands from now on it does not know, though it is done later.
            BEGAN: MetadataValue.timestamp(began),
            "split": MetadataValue.json(trained.lineage["split"]),
            "learning_curve": MetadataValue.md(learning_curve(trained.history)),
            "lineage": MetadataValue.json(trained.lineage),
        },
    )


@asset(deps=[candidate_model], kinds={"python", "mlflow"}, **_COMMON)
def evaluation(
    context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
) -> MaterializeResult:
    """The challenger against target-only and the champion, on rows that none was fitted to."""
    from exit_pipeline.evaluation.tables import comparison, gates
    from exit_pipeline.registry.life import evaluate_version

    lake = pipeline.lake(context.run.run_id)
    with decided():
        version, decision, scored = evaluate_version(lake, pipeline.profile, _candidate(context))
    return MaterializeResult(
        metadata={
            "version": version,
            "comparison": MetadataValue.md(comparison(scored)),
            "gates": MetadataValue.md(gates(decision)),
            "reliability": MetadataValue.md(reliability(scored)),
            **{f"model_{n}": v for n, v in scored["model"].metrics.items() if v is not None},
        }
    )


@asset(deps=[evaluation], kinds={"mlflow"}, **_COMMON)
def champion(
    context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
) -> MaterializeResult:
    """The model in production: the challenger, if every gate and upstream check lets it."""
    from exit_pipeline.errors import GateRefusal
    from exit_pipeline.evaluation.tables import gates
    from exit_pipeline.registry import CHAMPION, Registry
    from exit_pipeline.registry.life import decision_about

    lake = pipeline.lake(context.run.run_id)
    with decided():
        version, decision = decision_about(lake, pipeline.profile, _candidate(context))
    registry = Registry(pipeline.home, pipeline.profile.name)
    promoted = False
    # Where another became champion meanwhile the step fails, and its retry asks the gates again.
    try:
        promoted = registry.decide(version, decision)
    except GateRefusal as refusal:
        context.log.warning(str(refusal))
    holder = registry.find(CHAMPION)
    return MaterializeResult(
        metadata={
            "challenger": version,
            "champion": holder.version if holder else "none yet",
            "promoted": promoted,
            "reason": decision.reason,
            "gates": MetadataValue.md(gates(decision)),
        }
    )


# After the decision, which the page names.
@asset(deps=[evaluation, champion], kinds={"html", "mlflow"}, **_COMMON)
def transfer_report(
    context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
) -> MaterializeResult:
    """What the candidate lets transfer where, and how well: one page that needs nothing else."""
    from exit_pipeline.report import build_report, preview, write_report

    lake = pipeline.lake(context.run.run_id)
    with decided():
        report = build_report(pipeline.settings, lake, pipeline.profile, _candidate(context))
    return MaterializeResult(
        metadata={
            "version": report.version.version,
            "page": MetadataValue.path(write_report(lake, report)),
            "preview": MetadataValue.md(preview(report)),
        }
    )


def _candidate(context: AssetExecutionContext) -> int | str:
    """The version that the graph trained last, whatever was trained by hand since."""
    event = context.instance.get_latest_materialization_event(AssetKey("candidate_model"))
    told = event.asset_materialization if event else None
    # One that was reported by hand names none.
    version = told.metadata.get("version") if told else None
    return "challenger" if version is None else int(version.value)


ASSETS = [candidate_model, evaluation, champion, transfer_report]
