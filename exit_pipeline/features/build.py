"""Builds the tables behind the Feast views, a range of days at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from exit_pipeline.labels import last_landed, newest_day
from exit_pipeline.labels.names import names, values
from exit_pipeline.lake import Connection, DayState, Lake, create_table
from exit_pipeline.lake.table import Filter, days_between
from exit_pipeline.profile import Profile, ProfileSpec

FEATURE_TABLES = ("user_features", "item_features", "scene_features", "user_interest")


def build_features(
    connection: Connection,
    lake: Lake,
    profile: Profile,
    first: date,
    last: date,
    *,
    table: str,
) -> dict[date, DayState]:
    """Builds one feature table for the landing days `first`…`last`.

    A day's rows depend on nothing that landed after it, so building a day again gives the same.

    Args:
        connection: An open engine.
        lake: Where the tables are.
        profile: The data set.
        first: The first day.
        last: The last day.
        table: One of `FEATURE_TABLES`.

    Returns:
        The state of each day.
    """
    spec = profile.spec
    for name, filters in _inputs(spec, table, first, last).items():
        lake.view(connection, name, filters)
    bound, context = feature_parameters(spec, first, last)
    if table == "user_interest":
        create_table(connection, "interest_events", "interest_events", bound, **context)
    create_table(connection, "built", table, bound, **context)
    return lake.replace(connection, table, "built", days_between(first, last))


def feature_parameters(
    spec: ProfileSpec, first: date, last: date
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what the feature SQL of the days `first`…`last` takes: values, and checked names."""
    bound = {
        **values(spec, first, last),
        "window_days": spec.features.window_days,
        "window_us": spec.features.window_us,
        "hold_us": spec.features.hold_us,
        "lag_us": spec.features.lag_us,
        "half_life_us": spec.features.half_life_us,
        "recent_units": spec.features.recent_units,
    }
    domains = (spec.target, *spec.sources)
    return bound, names(spec, domains=domains, items=spec.items, users=spec.users)


def _inputs(spec: ProfileSpec, table: str, first: date, last: date) -> dict[str, Sequence[Filter]]:
    if table == "scene_features":
        day = timedelta(days=1)
        return {"group_consistency": [("ds", ">=", first + day), ("ds", "<=", last + day)]}
    features = spec.features
    states = table == "user_interest"
    reach = timedelta(days=features.reach_days if states else features.window_days)
    window: list[Filter] = [("ds", ">=", first - reach), ("known_on", "<=", last)]
    return {"events": window, "items": [], "users": []}


def newest_feature_day(lake: Lake, table: str) -> date | None:
    """Returns the newest day that a feature table can be built for, or None."""
    if table != "scene_features":
        return last_landed(lake)
    morning = newest_day(lake, "group_consistency")
    return morning and morning - timedelta(days=1)
