"""The scorer's inputs of one request, out of Feast's online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa
from feast import FeatureStore

from exit_pipeline.features.inputs import view_columns
from exit_pipeline.features.training_set import STATE_PARTS, state_features
from exit_pipeline.profile import ProfileSpec


@dataclass(frozen=True)
class User:
    """What is known of who asks.

    Args:
        values: Columns of `user_features` and `user_interest` by name; None or absent where
            nothing is known.
        old: How many of the two views' rows were older than the TTL, and count for nothing.
    """

    values: Mapping[str, Any]
    old: int = 0


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
    views = view_columns(spec)
    user = user_row(store, spec, user_id, at)
    read = partial(_read, store, at, timedelta(days=spec.features.ttl_days))
    keys = [{"item_id": item} for item in items]
    item, old_items = read("item_features", views["item_features"], keys)
    units = items if spec.interest_unit == "item_id" else item[spec.interest_unit]
    cell = cell_of(spec, user, scene)
    cells = [{"unit": unit or "", "cell": cell} for unit in units]
    group, _ = read("scene_features", views["scene_features"], cells)
    unknown = sum(shown is None for shown in item["item_shown"]) - old_items
    batch = scorer_rows(spec, user_id, user, items, units, {**item, **group}, scene, at)
    return batch, flags_of(spec, user, unknown, old_items)


def user_row(store: FeatureStore, spec: ProfileSpec, user_id: str, at: datetime) -> User:
    """Reads what is known of a user at a time out of Feast's online store."""
    read = partial(_read, store, at, timedelta(days=spec.features.ttl_days))
    key, columns = [{"user_id": user_id}], view_columns(spec)["user_features"]
    user, old_user = read("user_features", columns, key)
    state, old_state = read("user_interest", state_columns(spec), key)
    values = {name: found[0] for name, found in {**user, **state}.items()}
    return User(values, old_user + old_state)


def scorer_rows(
    spec: ProfileSpec, user_id: str, user: User, items: Sequence[str], units: Sequence[str | None],
    columns: Mapping[str, Any], scene: Mapping[str, str], at: datetime,
) -> pa.RecordBatch:  # fmt: skip
    """Puts together the scorer's inputs of one request, wherever their parts came from.

    Args:
        spec: The profile.
        user_id: Who asks.
        user: What is known of the user.
        items: n ≥ 1 candidates.
        units: Their interest units.
        columns: n values each of the columns of `item_features` and `scene_features`.
        scene: Complete.
        at: The request's time.
    """
    n = len(items)
    known = [*view_columns(spec)["user_features"], *state_columns(spec)]
    found = {
        "user_id": [user_id] * n, "item_id": list(items), "unit": pa.array(units, pa.string()),
        "event_timestamp": pa.array([at] * n, pa.timestamp("us", "UTC")),
        **{name: [scene.get(name)] * n for name in ("hour_band", "day_kind", *spec.context)},
        **{name: [user.values.get(name)] * n for name in known},
        **columns, "position": pa.nulls(n, pa.int32()),
    }  # fmt: skip
    batch = pa.RecordBatch.from_pydict({k: _typed(k, v) for k, v in found.items()})
    for name, values in state_features(batch, spec).items():
        batch = batch.append_column(name, values)
    return batch


def state_columns(spec: ProfileSpec) -> list[str]:
    """Returns the columns of `user_interest`."""
    domains = (spec.target, *spec.sources)
    return ["state_us", *(f"{domain}_{part}" for domain in domains for part in STATE_PARTS)]


def cell_of(spec: ProfileSpec, user: User, scene: Mapping[str, str]) -> str:
    """Names the part of the scene that a group shares."""
    told = {**scene, **{n: user.values.get(n) for n in view_columns(spec)["user_features"]}}
    return "|".join((told.get(name) or "unknown").replace("|", "/") for name in spec.group)


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


def flags_of(spec: ProfileSpec, user: User, unknown_items: int, old_items: int) -> list[str]:
    """Says what a reader of the ranking must know of the features it was made from."""
    flags, than = [], f"older than {spec.features.ttl_days} days: defaults are used"
    if user.old:
        flags.append(f"features of this user are {than}")
    elif user.values.get("user_shown") is None:
        flags.append("unknown user: defaults are used")
    if unknown_items:
        flags.append(f"{unknown_items} unknown items: defaults are used")
    if old_items:
        flags.append(f"features of {old_items} items are {than}")
    return flags


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
