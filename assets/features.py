"""Feature tables behind the Feast views, and the training set joined point in time."""

from functools import partial

from dagster import AssetDep, AssetExecutionContext, Nothing, ResourceParam, asset

from assets.days import build_days
from assets.partitions import (
    daily,
    days,
    evenings,
    events_of_states,
    mature,
    next_morning,
    window_of_events,
)
from assets.resources import Pipeline

_DESCRIPTIONS = {
    "user_features": "User attributes and rates at the end of each day.",
    "item_features": "Item attributes and rates at the end of each day.",
    "scene_features": "Rates and lift of each group at the end of each day.",
    "user_interest": "The state of a user's interest after each change.",
}


def _feature_asset(table: str, deps: list[AssetDep | str], partitions=daily):
    @asset(
        name=table,
        description=_DESCRIPTIONS[table],
        deps=deps,
        partitions_def=partitions,
        group_name="features",
        kinds={"duckdb", "deltalake", "feast"},
        output_required=False,
        dagster_type=Nothing,
    )
    def feature_table(context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]):
        from exit_pipeline.features import build_features, newest_feature_day

        newest = newest_feature_day(pipeline.lake(context.run.run_id), table)
        build = partial(build_features, table=table)
        yield from build_days(context, pipeline, build, newest)

    return feature_table


@asset(
    deps=[days("icl_labels"), days("impressions"), *(days(t, 1) for t in _DESCRIPTIONS)],
    partitions_def=mature,
    group_name="features",
    kinds={"feast", "duckdb", "deltalake"},
    output_required=False,
    dagster_type=Nothing,
)
def training_set(context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]):
    """Labels joined with features as they were known at each exposure, through Feast."""
    from exit_pipeline.features.training_set import build_training_set
    from exit_pipeline.labels import newest_day

    newest = newest_day(pipeline.lake(context.run.run_id), "icl_labels")
    build = partial(build_training_set, settings=pipeline.settings)
    yield from build_days(context, pipeline, build, newest)


ASSETS = [
    _feature_asset("user_features", [window_of_events, "users"]),
    _feature_asset("item_features", [window_of_events, "items"]),
    _feature_asset("scene_features", [next_morning("group_consistency")], evenings),
    _feature_asset("user_interest", [events_of_states, "items"]),
    training_set,
]
