"""The scorer's inputs of one request, out of Feast's online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa
from feast import FeatureStore

from exit_pipeline.features.inputs import view_columns
from exit_pipeline.features.training_set import STATE_PARTS, state_features
from exit_pipeline.profile import ProfileSpec


def online_rows(
    store: FeatureStore, spec: ProfileSpec, user_id: str, items: Sequence[str],
    scene: Mapping[str, str], at: datetime,
) -> tuple[pa.RecordBatch, list[str]]:  # fmt: skip
    """Reads the scorer's inputs of a user and some items out of Feast's online store.

    Args:
        store: The profile's.
        spec: The profile.
        user_id: Who asks.
        items: n ≥ 1 candidates.
        scene: Complete (see `scene_of`).
        at: The request's time.

    Returns:
        n ≥ 1 rows with the columns of the training set that a model reads, and flags.
    """
    views, n = view_columns(spec), len(items)
    read = partial(_read, store, at, timedelta(days=spec.features.ttl_days))
    user, old_user = read("user_features", views["user_features"], [{"user_id": user_id}])
    domains = (spec.target, *spec.sources)
    parts = ["state_us", *(f"{domain}_{part}" for domain in domains for part in STATE_PARTS)]
    state, old_state = read("user_interest", parts, [{"user_id": user_id}])
    keys = [{"item_id": item} for item in items]
    item, old_items = read("item_features", views["item_features"], keys)
    units = items if spec.interest_unit == "item_id" else item[spec.interest_unit]
    cell = "|".join(_group_value(name, scene, user) for name in spec.group)
    cells = [{"unit": unit or "", "cell": cell} for unit in units]
    group, _ = read("scene_features", views["scene_features"], cells)
    columns = {
        "user_id": [user_id] * n, "item_id": list(items), "unit": list(units),
        "event_timestamp": pa.array([at] * n, pa.timestamp("us", "UTC")),
        **{name: [scene.get(name)] * n for name in ("hour_band", "day_kind", *spec.context)},
        **{name: values * n for name, values in {**user, **state}.items()},
        **item, **group, "position": pa.nulls(n, pa.int32()),
    }  # fmt: skip
    batch = pa.RecordBatch.from_pydict({k: _typed(k, v) for k, v in columns.items()})
    for name, values in state_features(batch, spec).items():
        batch = batch.append_column(name, values)
    unknown = sum(shown is None for shown in item["item_shown"]) - old_items
    stranger = all(value is None for (value,) in [*user.values(), *state.values()])
    return batch, _flags(spec, stranger, old_user + old_state, unknown, old_items)


def _read(
    store: FeatureStore, at: datetime, ttl: timedelta, view: str, columns: Sequence[str],
    keys: list[dict[str, str]],
) -> tuple[dict[str, list[Any]], int]:  # fmt: skip
    """Reads columns of a view by its keys, null where a row is older than the TTL.

    Feast's online read returns a row of any age; training's join does not, so the age is looked at
    here: to the microsecond, and a row of just that age still counts.

    Returns:
        The columns, and how many rows were too old.
    """
    if not keys:
        return {name: [] for name in columns}, 0
    features = [f"{view}:{name}" for name in columns]
    response = store.get_online_features(features=features, entity_rows=keys)
    found = response.to_dict()
    names = list(response.proto.metadata.feature_names.val)
    moments = response.proto.results[names.index(columns[0])].event_timestamps
    oldest = at - ttl
    unset = datetime(1970, 1, 1, tzinfo=UTC)  # what Feast says of a row that is not there
    times = [moment.ToDatetime(UTC) for moment in moments]
    old = [unset < time < oldest for time in times]
    values = {
        name: [None if gone else value for value, gone in zip(found[name], old, strict=True)]
        for name in columns
    }
    return values, sum(old)


def _flags(
    spec: ProfileSpec, stranger: bool, old_user: int, unknown_items: int, old_items: int
) -> list[str]:
    """What a reader of the ranking must know of the features it was made from."""
    flags, than = [], f"older than {spec.features.ttl_days} days: defaults are used"
    if old_user:
        flags.append(f"features of this user are {than}")
    elif stranger:
        flags.append("unknown user: defaults are used")
    if unknown_items:
        flags.append(f"{unknown_items} unknown items: defaults are used")
    if old_items:
        flags.append(f"features of {old_items} items are {than}")
    return flags


def _group_value(name: str, scene: Mapping[str, str], user: Mapping[str, list[Any]]) -> str:
    value = user[name][0] if name in user else scene.get(name)
    return (value or "unknown").replace("|", "/")


def _typed(name: str, values: Any) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if name.endswith("_units"):
        return pa.array(values, pa.list_(pa.string()))
    if name.endswith(("_last_us", "_counts")):
        return pa.array(values, pa.list_(pa.int64()))
    if name.endswith("_weights"):
        return pa.array(values, pa.list_(pa.float64()))
    return pa.array(values)
