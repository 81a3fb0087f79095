"""Jobs and the schedules that start them."""

from datetime import date, timedelta

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    AssetSelection,
    Backoff,
    DagsterInstance,
    DefaultScheduleStatus,
    Field,
    OpExecutionContext,
    RetryPolicy,
    RunRequest,
    ScheduleEvaluationContext,
    SkipReason,
    define_asset_job,
    job,
    op,
    schedule,
)

from assets.partitions import daily
from assets.resources import PIPELINE
from exit_pipeline.errors import UsageError

_SCHEDULE = PIPELINE.profile.spec.schedule
_DAILY = "group:ingest, group:labels, group:features"
_FEATURES = ("user_features", "item_features", "user_interest")
_LANDED = AssetSelection.groups("ingest") | AssetSelection.assets(*_FEATURES)

daily_ingest = define_asset_job(
    "daily_ingest",
    _LANDED,
    description="The events of day D and the features made of them. Labels of D − 1 and what "
    "hangs on them follow by their automation conditions, once D has landed.",
)

retrain = define_asset_job(
    "retrain",
    AssetSelection.groups("model"),
    description="Trains, evaluates and, if every gate lets it, promotes.",
)
refresh_online = define_asset_job(
    "refresh_online", AssetSelection.groups("online"), description="Brings new features online."
)


_DAY = Field(str, description="A landing day, YYYY-MM-DD.")


@op(config_schema={"first": _DAY, "last": _DAY})
def rebuild(context: OpExecutionContext) -> None:
    """Materializes every daily table, a run a stage, with the days that late rows re-open."""
    from assets.run import run_graph

    first, last = _days(context, "first", "last")
    run_graph(first, last, _DAILY, lambda stage: context.log.info(stage.title))


@op(
    config_schema={
        "first": _DAY,
        "last": _DAY,
        "touched": Field(str, description="The first day whose events they changed."),
    },
    # Another run may hold the home.
    retry_policy=RetryPolicy(max_retries=4, delay=30, backoff=Backoff.EXPONENTIAL),
)
def follow(context: OpExecutionContext) -> None:
    """Builds labels and features again from the touched days on."""
    from assets.run import catch_up

    first, last, touched = _days(context, "first", "last", "touched")
    catch_up(first, last, touched, lambda stage: context.log.info(stage.title))


def _days(context: OpExecutionContext, *keys: str) -> list[date]:
    try:
        return [date.fromisoformat(context.op_config[key]) for key in keys]
    except ValueError as error:
        raise UsageError(str(error), where="the job's config", mend="write YYYY-MM-DD") from error


@job(description="Every daily table over a range of landing days, as `exit-pipeline run` does it.")
def backfill() -> None:
    """Rebuilds a range of days."""
    rebuild()


@job(description="What days that landed late or again re-opened: labels, features, training set.")
def late_data() -> None:
    """Builds touched days again, and what hangs on them."""
    follow()


def recorded(instance: DagsterInstance, table: str, day: date) -> float:
    """When a day of a table was materialized last, in seconds since the epoch; 0 for never."""
    seen = AssetRecordsFilter(AssetKey(table), asset_partitions=[day.isoformat()])
    records = instance.fetch_materializations(seen, limit=1).records
    return records[0].timestamp if records else 0.0


@schedule(
    job=daily_ingest,
    cron_schedule=_SCHEDULE.daily,
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def daily_schedule(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Ingests the day that ended last, if it is one of the log's and not done yet.

    Its features are made last: a run may have failed after it read the events. What is changed of a
    day after it was read is the landing sensor's to see.
    """
    ended = (context.scheduled_execution_time - timedelta(days=1)).date()
    day = ended.isoformat()
    if not daily.has_partition_key(day):
        return SkipReason(f"{day} is no day of this log (see `start` and `end` in the profile)")
    read = recorded(context.instance, "events", ended)
    if read and all(recorded(context.instance, table, ended) > read for table in _FEATURES):
        return SkipReason(f"{day} was read when it landed")
    return RunRequest(partition_key=day, run_key=day)


@op(
    config_schema={
        "champion": Field(int, description="The version to roll back from."),
        "to": Field(int, description="The champion before it."),
        "reason": Field(str, description="Why; it is kept."),
    }
)
def go_back(context: OpExecutionContext) -> None:
    """Makes the champion before champion again, unless another was made champion meanwhile."""
    from exit_pipeline.errors import ChampionChanged
    from exit_pipeline.registry import Registry

    told, registry = context.op_config, Registry(PIPELINE.home, PIPELINE.profile.name)
    try:
        registry.rollback(f"by itself: {told['reason']}", told["to"], told["champion"])
    except ChampionChanged as changed:
        context.log.info(str(changed))


@job(description="The champion before comes back, as `exit-pipeline rollback` does it.")
def roll_back() -> None:
    """Rolls back."""
    go_back()


def nothing_to_train_on(instance: DagsterInstance) -> str:
    """Why no model is to be trained: no rows, or none newer than the last one; else nothing."""
    rows, model = (
        instance.get_latest_materialization_event(AssetKey(name))
        for name in ("training_set", "candidate_model")
    )
    if rows is None:
        return "there are no training rows yet"
    if model is not None and model.timestamp > rows.timestamp:
        return "no training rows are newer than the last candidate"
    return ""


@schedule(
    job=retrain,
    cron_schedule=_SCHEDULE.retrain,
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def retrain_schedule(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Retrains once a day, after the day's labels, if there are new training rows."""
    if reason := nothing_to_train_on(context.instance):
        return SkipReason(reason)
    return RunRequest(run_key=context.scheduled_execution_time.isoformat())


JOBS = [daily_ingest, retrain, refresh_online, backfill, late_data, roll_back]
SCHEDULES = [daily_schedule, retrain_schedule]
