"""The watch over the champion: two checks that measure, and a sensor that asks by what they say."""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    DefaultSensorStatus,
    FloatMetadataValue,
    IntMetadataValue,
    MetadataValue,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SkipReason,
    asset_check,
    sensor,
)

from assets.internals import AssetCheckExecutionRecordStatus
from assets.jobs import retrain, roll_back
from assets.resources import EVERY, PIPELINE, Pipeline
from assets.schedules import put_off

if TYPE_CHECKING:
    from exit_pipeline.lake import Lake

WATCHED = "training_set"
NOTHING, RETRAIN, ROLL_BACK = "nothing", "retrain", "roll back"


def _watch(measure: Callable[..., AssetCheckResult]) -> Callable[..., AssetCheckResult]:
    """Keeps the figures for monitoring, and says so where nothing could be measured.

    That holds up no table, and asks for nothing.
    """

    @wraps(measure)
    def guarded(pipeline: ResourceParam[Pipeline]) -> AssetCheckResult:
        from exit_pipeline.errors import ExitPipelineError
        from exit_pipeline.monitoring.figures import keep_figures

        try:
            result = measure(pipeline)
            keep_figures(pipeline.home, measure.__name__, _figures(result))
            return result
        except ExitPipelineError as error:
            return _told(False, str(error), {"asks_for": NOTHING, "could_not_run": True})

    return guarded


def _figures(result: AssetCheckResult) -> dict[str, float]:
    numbers = (FloatMetadataValue, IntMetadataValue)
    told = {n: value.value for n, value in result.metadata.items() if isinstance(value, numbers)}
    return {name: float(value) for name, value in told.items() if value is not None}


def _told(passed: bool, reason: str, metadata: dict[str, Any]) -> AssetCheckResult:
    return AssetCheckResult(
        passed=passed,
        severity=AssetCheckSeverity.WARN,
        description=reason,
        metadata={"reason": reason, **metadata},
    )


@asset_check(asset=WATCHED, description="Are the champion's inputs spread as when it was trained?")
@_watch
def feature_drift(pipeline: ResourceParam[Pipeline]) -> AssetCheckResult:
    """Population stability index of the newest days; enough drifted days ask for a model."""
    from exit_pipeline.monitoring.drift import find_drift

    lake = pipeline.lake("drift")
    drift = find_drift(pipeline.settings, lake, pipeline.profile)
    if drift is None:
        return _told(True, "no champion yet", {"asks_for": NOTHING})
    return _told(
        not (drift.asks or drift.gone),
        drift.reason,
        {
            "asks_for": RETRAIN if drift.asks else NOTHING,
            "champion": drift.version,
            "content": _content(lake, pipeline),
            "inputs_gone": len(drift.gone),
            "largest_psi": drift.largest,
            "drifted_days": len(drift.drifted),
            "inputs_judged": len(drift.judged),
            "psi": MetadataValue.md(drift.markdown()),
        },
    )


@asset_check(asset=WATCHED, description="Does the champion hold on newly matured days?")
@_watch
def champion_performance(pipeline: ResourceParam[Pipeline]) -> AssetCheckResult:
    """Logloss and calibration since the promotion; outside their limits a model is asked for."""
    from exit_pipeline.monitoring.performance import HOLDS, stand

    lake = pipeline.lake("performance")
    found = stand(lake, pipeline.profile)
    if found is None:
        return _told(True, "no champion yet", {"asks_for": NOTHING})
    names = ("logloss", "predicted_to_actual", "auc", "rows", "positives")
    moments = {"now": found.now, "at_promotion": found.then}
    figures = {
        f"{name}_{moment}": told[name]
        for moment, told in moments.items()
        for name in names
        if told.get(name) is not None
    }
    return _told(
        found.verdict == HOLDS,
        found.reason,
        {
            "asks_for": NOTHING if found.verdict == HOLDS else found.verdict,
            "champion": found.version,
            "content": _content(lake, pipeline),
            **({"back_to": found.back_to} if found.back_to else {}),
            **figures,
        },
    )


@sensor(
    jobs=[retrain, roll_back],
    minimum_interval_seconds=EVERY,
    default_status=DefaultSensorStatus.RUNNING,
)
def champion_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Asks for a new model, or for the champion before, where the newest checks say so.

    Once for the same rows and champion, and not while a blocking check of what they were made
    from has failed: what was measured then says something of the rows. A new model also waits for
    days that are being read or built again: it is to be trained on all of them. A rollback does
    not. What a check said of a version that is no longer champion asks for nothing.
    """
    from exit_pipeline.registry import CHAMPION, Registry
    from exit_pipeline.validation.verdicts import failed_checks

    asked = [
        told
        for check in ("feature_drift", "champion_performance")
        if (told := _newest(context.instance, check)) and told["asks_for"] != NOTHING
    ]
    if not asked:
        return SkipReason("no check asks for anything")
    champion = Registry(PIPELINE.home, PIPELINE.profile.name).number(CHAMPION)
    asked = [told for told in asked if told["champion"] == champion]
    if not asked:
        return SkipReason("what asked for something is no longer champion")
    if failed := failed_checks(PIPELINE.lake("champion sensor"), PIPELINE.profile.spec):
        return SkipReason(f"blocking checks did not pass: {'; '.join(failed)}")
    for told in asked:
        if told["asks_for"] == ROLL_BACK:
            return _back(told)
    if reason := put_off(context.instance):
        return SkipReason(reason)
    reasons = {"exit/reason": "; ".join(told["reason"] for told in asked)}
    return RunRequest(_key(asked[-1]), job_name=retrain.name, tags=reasons)


def _back(told: dict[str, Any]) -> RunRequest:
    config = {"champion": told["champion"], "to": told["back_to"], "reason": told["reason"]}
    return RunRequest(
        _key(told), job_name=roll_back.name, run_config={"ops": {"go_back": {"config": config}}}
    )


def _newest(instance: DagsterInstance, check: str) -> dict[str, Any] | None:
    """The metadata of a check's last evaluation; one that is only planned, or died, is none."""
    key = AssetCheckKey(AssetKey(WATCHED), check)
    done = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    records = instance.event_log_storage.get_asset_check_execution_history(key, 1, status=done)
    event = records[0].event.dagster_event if records and records[0].event else None
    if event is None:
        return None
    metadata = event.asset_check_evaluation_data.metadata
    return {name: value.value for name, value in metadata.items()}


def _key(told: dict[str, Any]) -> str:
    return f"{told['asks_for']} {told['champion']} {told['content']}"


def _content(lake: "Lake", pipeline: Pipeline) -> str:
    """A hash of the rows that were looked at."""
    states = sorted(lake.days(WATCHED).items())[-pipeline.profile.spec.monitoring.days :]
    text = repr([(str(day), state.hash) for day, state in states])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


WATCHES = [feature_drift, champion_performance]
