"""What starts jobs by the clock, and what asks for the training that was put off."""

from datetime import date, timedelta

from dagster import (
    AssetKey,
    AssetObservation,
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    ScheduleEvaluationContext,
    SensorEvaluationContext,
    SkipReason,
    schedule,
    sensor,
)

from assets.busy import building
from assets.internals import NOT_FINISHED_STATUSES
from assets.jobs import FEATURES, began, daily_ingest, recorded, retrain
from assets.partitions import daily, range_tags
from assets.resources import EVERY, PIPELINE
from assets.sensors import ranges_of_unread

_SCHEDULE = PIPELINE.profile.spec.schedule
_MODEL = AssetKey("candidate_model")
_BUILDING = "training rows are being built just now"


@schedule(
    job=daily_ingest,
    cron_schedule=_SCHEDULE.daily,
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def daily_schedule(context: ScheduleEvaluationContext) -> list[RunRequest] | SkipReason:
    """Ingests the day that ended last, if it is one of the log's and not done yet.

    And days before it that landed and still are unread: the landing sensor asks once, and a run may
    fail for good. What is changed of a day after it was read is that sensor's to see.
    """
    ended = (context.scheduled_execution_time - timedelta(days=1)).date()
    asked = [
        RunRequest(run_key=f"{first} … {last}, {ended}", tags=range_tags(first, last))
        for first, last in ranges_of_unread(context.instance, ended)
    ]
    if not (reason := _done(context.instance, ended)):
        asked.append(RunRequest(partition_key=ended.isoformat(), run_key=ended.isoformat()))
    return asked or SkipReason(reason)


def _done(instance: DagsterInstance, day: date) -> str:
    """Why a day is not to be ingested, if so; else nothing.

    Its features are made last: a run may have failed after it read the events.
    """
    if not daily.has_partition_key(day.isoformat()):
        return f"{day} is no day of this log (see `start` and `end` in the profile)"
    read = recorded(instance, "events", day)
    if read and all(recorded(instance, table, day) > read for table in FEATURES):
        return f"{day} was read when it landed"
    return ""


def nothing_to_train_on(instance: DagsterInstance) -> str:
    """Why no model is to be trained: no rows, or none newer than the last one; else nothing."""
    rows = instance.get_latest_materialization_event(AssetKey("training_set"))
    if rows is None:
        return "there are no training rows yet"
    if began(instance) > rows.timestamp:
        return "no training rows are newer than the last candidate"
    return ""


def put_off(instance: DagsterInstance) -> str:
    """Why a model is to be trained later, if at all; else nothing."""
    if building(instance):
        return _BUILDING
    runs = RunsFilter(job_name=retrain.name, statuses=NOT_FINISHED_STATUSES)
    if instance.get_runs(runs, limit=1):
        return "a model is being trained just now"
    return nothing_to_train_on(instance)


@schedule(
    job=retrain,
    cron_schedule=_SCHEDULE.retrain,
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def retrain_schedule(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Retrains once a day, after the day's labels, if there are new training rows.

    While rows are being built it puts that off, which the candidate's log shows.
    """
    reason = put_off(context.instance)
    if reason == _BUILDING:
        told = AssetObservation(_MODEL, metadata={"put_off": reason})
        context.instance.report_runless_asset_event(told)
        return SkipReason(f"{reason}; put_off_sensor asks once they are")
    if reason:
        return SkipReason(reason)
    return RunRequest(run_key=context.scheduled_execution_time.isoformat())


@sensor(job=retrain, minimum_interval_seconds=EVERY, default_status=DefaultSensorStatus.RUNNING)
def put_off_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Asks once for the training that the schedule put off, when its rows are built.

    A schedule's next tick may be a week away.
    """
    seen = context.instance.fetch_observations(_MODEL, limit=1).records
    if not seen or began(context.instance) > seen[0].timestamp:
        return SkipReason("no training was put off, or a model was trained since")
    if reason := put_off(context.instance):
        context.update_cursor("")
        return SkipReason(reason)
    key = str(seen[0].storage_id)
    if context.cursor != key:  # between two stages of what conditions ask for no run may be seen
        context.update_cursor(key)
        return SkipReason("training is asked for if nothing is built until the next look")
    return RunRequest(run_key=key)


SCHEDULES = [daily_schedule, retrain_schedule]
