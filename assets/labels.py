"""Labels in DuckDB: outcomes, source interest, group consistency, the ICL."""

from typing import Any

from dagster import AssetExecutionContext, Nothing, ResourceParam, asset

from assets.days import build_days
from assets.partitions import (
    days,
    events_of_group_sums,
    events_of_impressions,
    events_of_source_interest,
    impressions_of_source_interest,
    known_on_the_morning,
    mature,
    mornings,
)
from assets.resources import Pipeline

_COMMON: dict[str, Any] = {
    "group_name": "labels",
    "kinds": {"duckdb", "deltalake"},
    "output_required": False,
    "dagster_type": Nothing,
}


@asset(deps=[events_of_impressions, "items", "users"], partitions_def=mature, **_COMMON)
def impressions(context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]):
    """Each target exposure with the outcome attributed to it."""
    from exit_pipeline.labels import build_impressions, last_mature

    newest = last_mature(pipeline.lake(context.run.run_id), pipeline.profile.spec)
    yield from build_days(context, pipeline, build_impressions, newest)


@asset(
    deps=[impressions_of_source_interest, events_of_source_interest, "items"],
    partitions_def=mature,
    **_COMMON,
)
def source_interest(context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]):
    """What the user showed in each source before and after each exposure."""
    from exit_pipeline.labels import build_source_interest, newest_day

    newest = newest_day(pipeline.lake(context.run.run_id), "impressions")
    yield from build_days(context, pipeline, build_source_interest, newest)


@asset(
    deps=[
        known_on_the_morning("impressions"),
        known_on_the_morning("source_interest"),
        events_of_group_sums,
        "items",
        "users",
    ],
    partitions_def=mornings,
    **_COMMON,
)
def group_consistency(context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]):
    """Does a group carry such interest over? As known on the morning of each day."""
    from exit_pipeline.labels import build_group_consistency, last_morning

    newest = last_morning(pipeline.lake(context.run.run_id))
    yield from build_days(context, pipeline, build_group_consistency, newest)


@asset(
    deps=[days("impressions"), days("source_interest"), days("group_consistency")],
    partitions_def=mature,
    **_COMMON,
)
def icl_labels(context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]):
    """The Interest Combination Label of each mature exposure, and its parts."""
    from exit_pipeline.labels import build_icl_labels, newest_day

    newest = newest_day(pipeline.lake(context.run.run_id), "source_interest")
    yield from build_days(context, pipeline, build_icl_labels, newest)


ASSETS = [impressions, source_interest, group_consistency, icl_labels]
