"""Jobs, and when a day of a table was made last."""

from datetime import date

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    AssetSelection,
    Backoff,
    DagsterInstance,
    Field,
    OpExecutionContext,
    RetryPolicy,
    define_asset_job,
    job,
    op,
)

from assets.resources import PIPELINE
from assets.retries import RETRY
from exit_pipeline.errors import UsageError

_DAILY = "group:ingest, group:labels, group:features"
BEGAN = "began"  # the key under which a candidate's materialization says when training did
FEATURES = ("user_features", "item_features", "user_interest")
_LANDED = AssetSelection.groups("ingest") | AssetSelection.assets(*FEATURES)

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


def began(instance: DagsterInstance) -> float:
    """When the training of the last candidate began, in seconds since the epoch; 0 for never."""
    event = instance.get_latest_materialization_event(AssetKey("candidate_model"))
    if event is None or event.asset_materialization is None:
        return 0.0
    told = event.asset_materialization.metadata.get(BEGAN)
    return float(told.value) if told else event.timestamp  # one reported in the UI has none


@op(
    config_schema={
        "champion": Field(int, description="The version to roll back from."),
        "to": Field(int, description="The champion before it."),
        "reason": Field(str, description="Why; it is kept."),
    },
    retry_policy=RETRY,
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


JOBS = [daily_ingest, retrain, refresh_online, backfill, late_data, roll_back]
