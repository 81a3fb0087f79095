"""Jobs and the schedules that start them."""

from datetime import timedelta

from dagster import (
    AssetSelection,
    RunRequest,
    ScheduleEvaluationContext,
    SkipReason,
    define_asset_job,
    schedule,
)

from assets.partitions import daily
from assets.resources import PIPELINE

_SCHEDULE = PIPELINE.profile.spec.schedule
_DAILY = AssetSelection.groups("ingest", "labels", "features")
_LANDED = AssetSelection.groups("ingest") | AssetSelection.assets(
    "user_features", "item_features", "user_interest"
)

daily_ingest = define_asset_job(
    "daily_ingest",
    _LANDED,
    partitions_def=daily,
    description="The events of day D and the features made of them. Labels of D − 1 and what "
    "hangs on them follow by their automation conditions, once D has landed.",
)
backfill = define_asset_job(
    "backfill", _DAILY, partitions_def=daily, description="Every daily table, over a range of days."
)

retrain = define_asset_job(
    "retrain",
    AssetSelection.groups("model"),
    description="Trains, evaluates and, if every gate lets it, promotes.",
)
refresh_online = define_asset_job(
    "refresh_online", AssetSelection.groups("online"), description="Brings new features online."
)


@schedule(job=daily_ingest, cron_schedule=_SCHEDULE.daily, execution_timezone="UTC")
def daily_schedule(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Ingests the day that ended last, if it is one of the log's."""
    day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
    if not daily.has_partition_key(day):
        return SkipReason(f"{day} is no day of this log (see `start` and `end` in the profile)")
    return RunRequest(partition_key=day, run_key=day)


@schedule(job=retrain, cron_schedule=_SCHEDULE.retrain, execution_timezone="UTC")
def retrain_schedule(context: ScheduleEvaluationContext) -> RunRequest:
    """Retrains once a day, after the day's labels."""
    return RunRequest(run_key=context.scheduled_execution_time.isoformat())


JOBS = [daily_ingest, retrain, refresh_online, backfill]
SCHEDULES = [daily_schedule, retrain_schedule]
