"""Features online, for the ranking."""

from datetime import timedelta

from dagster import (
    AssetExecutionContext,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.resources import Pipeline
from assets.retries import RETRY


@asset(
    deps=["user_features", "item_features", "scene_features", "user_interest"],
    group_name="online",
    kinds={"feast"},
    retry_policy=RETRY,
    freshness_policy=FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
)
def online_store(
    context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
) -> MaterializeResult:
    """The newest features of users, items and groups, in Feast's online store."""
    from exit_pipeline.ranking.online import materialize_online

    report = materialize_online(
        pipeline.settings, pipeline.lake(context.run.run_id), pipeline.profile
    )
    lines = ["| view | rows written | newest |", "|---|---|---|"]
    lines += [f"| {view} | {told['rows']:,} | {told['newest']} |" for view, told in report.items()]
    return MaterializeResult(
        metadata={
            "rows": sum(told["rows"] for told in report.values()),
            "views": MetadataValue.md("\n".join(lines)),
        }
    )


ASSETS = [online_store]
