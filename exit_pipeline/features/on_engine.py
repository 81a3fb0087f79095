"""The training set's join on an engine other than DuckDB: the same views, the same SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from exit_pipeline.feast_stores.join import View, make_views
from exit_pipeline.feast_stores.repo import apply
from exit_pipeline.features.entities import entity_query
from exit_pipeline.lake import Lake, create_table
from exit_pipeline.lake.engine import Engine
from exit_pipeline.lake.table import BATCH_ROWS, Filter
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Settings

if TYPE_CHECKING:
    from feast import FeatureStore


@contextmanager
def joined_on(
    engine: Engine, settings: Settings, lake: Lake, profile: Profile, first: date, last: date
) -> Iterator[pa.RecordBatchReader]:
    """Streams the entity rows of some days with what was known of each at its time.

    What the job of Feast's offline store streams, in any order: its views and their time to live
    come out of the same registry, and `engine` does the join.

    Args:
        engine: Fills a temporary table with the join.
        settings: Of the feature store.
        lake: Where labels and feature tables are.
        profile: The data set.
        first: The first exposure day.
        last: The last exposure day.
    """
    spec = profile.spec
    days: list[Filter] = [("ds", ">=", first), ("ds", "<=", last)]
    views = service_views(apply(settings, lake.home, profile), "ranking")
    for table in ("icl_labels", "impressions"):
        lake.view(engine, table, days)
    for view in views:
        lake.view(engine, view.name)
    rows = entity_query(spec, "select * from {}".format)
    create_table(engine, "joined", "training_joined", {}, entity_rows=rows, views=views)
    with engine.in_duckdb("joined") as duck:
        yield duck.sql("from joined").to_arrow_reader(BATCH_ROWS)


def service_views(store: FeatureStore, service: str) -> list[View]:
    """Returns the views that a feature service reads, in its order, as joins need them."""
    projections = store.get_feature_service(service).feature_view_projections
    views = [store.get_feature_view(p.name).with_projection(p) for p in projections]
    features = [f"{p.name_to_use()}:{field.name}" for p in projections for field in p.features]
    return make_views(store.config, views, features, False, False)
