"""The scorer's inputs of one request, out of Feast's online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureStore
from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from feast.utils import make_tzaware

from exit_pipeline.features.inputs import view_columns
from exit_pipeline.features.training_set import STATE_PARTS, state_features
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.times import instant

UNSET = datetime(1970, 1, 1, tzinfo=UTC)  # what Feast says of a row that is not there


@dataclass(frozen=True)
class UserRow:
    """What is known of one user: the user's half of the scorer's inputs.

    Args:
        user_id: Who.
        values: The columns of `user_features` and `user_interest`, null where nothing is known.
        flags: What a reader of the ranking must know of them.
    """

    user_id: str
    values: dict[str, Any]
    flags: tuple[str, ...] = ()

    @classmethod
    def unknown(cls, spec: ProfileSpec, user_id: str, flag: str) -> UserRow:
        """Nothing is known, for the reason that the flag names: training learned what that is."""
        return cls(user_id, dict.fromkeys((*_user_columns(spec), *_state_columns(spec))), (flag,))

    @property
    def as_of(self) -> datetime | None:
        """When the interest last changed; None where none is known."""
        us = self.values["state_us"]
        return None if us is None else instant(us)


class UserReader:
    """Reads what is known of a user out of Feast's online store.

    By the `online_read` of Feast's interface of stores: of one row, `get_online_features` takes two
    thirds of its time to look up and pack what is the same for every user. The views are those of
    when it is made. Threads may share it.

    Args:
        store: The profile's.
        spec: The profile.
    """

    def __init__(self, store: FeatureStore, spec: ProfileSpec) -> None:
        self.config, self.spec = store.config, spec
        self.online = get_online_store_from_config(store.config.online_store)
        views = {"user_features": _user_columns(spec), "user_interest": _state_columns(spec)}
        self.views = [(store.get_feature_view(name), names) for name, names in views.items()]

    @property
    def local(self) -> bool:
        """Whether the store is a file of this machine, whose readers wait for no writer."""
        return isinstance(self.online, SqliteOnlineStore)

    def __call__(self, user_id: str, at: datetime) -> UserRow:
        """Reads one user.

        Args:
            user_id: Who.
            at: The request's time; what is older than the TTL by then is null.
        """
        key = EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])
        since, old = at - timedelta(days=self.spec.features.ttl_days), False
        values: dict[str, Any] = {}
        for view, names in self.views:
            # Redis' store adds to the list that it is given.
            ((moment, found),) = self.online.online_read(self.config, view, [key], [*names])
            gone = moment is not None and UNSET < make_tzaware(moment) < since
            old |= gone
            told = {} if gone or found is None else found
            values |= {
                n: feast_value_type_to_python_type(told[n]) if n in told else None for n in names
            }
        if old:
            return UserRow(user_id, values, (f"features of this user are {_than(self.spec)}",))
        stranger = all(value is None for value in values.values())
        return UserRow(user_id, values, ("unknown user: defaults are used",) if stranger else ())


def online_rows(
    store: FeatureStore, spec: ProfileSpec, user: UserRow, items: Sequence[str],
    scene: Mapping[str, str], at: datetime,
) -> tuple[pa.RecordBatch, list[str]]:  # fmt: skip
    """Reads the scorer's inputs of a user and some items out of Feast's online store.

    Args:
        store: The profile's.
        spec: The profile.
        user: Who asks, as a `UserReader` knows them at that time.
        items: n ≥ 1 candidates.
        scene: Complete (see `scene_of`).
        at: The request's time.

    Returns:
        n rows with the columns of the training set that a model reads, and flags.
    """
    views = view_columns(spec)
    read = partial(_read, store, at, timedelta(days=spec.features.ttl_days))
    keys = [{"item_id": item} for item in items]
    item, old_items = read("item_features", views["item_features"], keys)
    units = items if spec.interest_unit == "item_id" else item[spec.interest_unit]
    cell = cell_of(spec, scene, user)
    cells = [{"unit": unit or "", "cell": cell} for unit in units]
    group, _ = read("scene_features", views["scene_features"], cells)
    for values in group.values():  # Feast takes no null for a key, and a unit may be ''
        values[:] = [None if unit is None else v for unit, v in zip(units, values, strict=True)]
    columns = {name: _typed(name, values) for name, values in {**item, **group}.items()}
    batch = assemble(spec, user, items, pa.array(units, pa.string()), columns, scene, at)
    unknown = sum(shown is None for shown in item["item_shown"]) - old_items
    return batch, [*user.flags, *item_flags(spec, unknown, old_items)]


def assemble(
    spec: ProfileSpec, user: UserRow, items: Sequence[str], units: pa.Array,
    columns: Mapping[str, pa.Array], scene: Mapping[str, str], at: datetime,
) -> pa.RecordBatch:  # fmt: skip
    """Puts one user's half and n items' halves together into the scorer's rows.

    Args:
        spec: The profile.
        user: The user's half.
        items: n ids.
        units: string[n], their interest units.
        columns: n values each of the views `item_features` and `scene_features`.
        scene: Complete (see `scene_of`).
        at: The request's time.
    """
    n = len(items)
    context = {name: scene.get(name) for name in ("hour_band", "day_kind", *spec.context)}
    same = {"user_id": user.user_id, **context, **user.values}
    once = pa.RecordBatch.from_pydict({k: _typed(k, [v]) for k, v in same.items()})
    repeated = once.take(pa.array(np.zeros(n, np.int64)))
    batch = pa.RecordBatch.from_pydict({
        **dict(zip(once.schema.names, repeated.columns, strict=True)),
        "item_id": pa.array(items, pa.string()), "unit": units,
        "event_timestamp": pa.array([at] * n, pa.timestamp("us", "UTC")),
        **columns, "position": pa.nulls(n, pa.int32()),
    })  # fmt: skip
    for name, values in state_features(batch, spec).items():
        batch = batch.append_column(name, values)
    return batch


def cell_of(spec: ProfileSpec, scene: Mapping[str, str], user: UserRow) -> str:
    """Returns the part of the scene that a group shares, as `scene_features` keys it."""
    values = (user.values.get(name, scene.get(name)) for name in spec.group)
    return "|".join(("unknown" if value is None else value).replace("|", "/") for value in values)


def item_flags(spec: ProfileSpec, unknown: int, old: int) -> list[str]:
    """What a reader of the ranking must know of the items it was made from."""
    flags = [f"{unknown} unknown items: defaults are used"] if unknown else []
    return [*flags, f"features of {old} items are {_than(spec)}"] if old else flags


def _read(
    store: FeatureStore, at: datetime, ttl: timedelta, view: str, columns: Sequence[str],
    keys: list[dict[str, str]],
) -> tuple[dict[str, list[Any]], int]:  # fmt: skip
    """Reads columns of a view, null where its row is older than the TTL.

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
    old = [UNSET < moment.ToDatetime(UTC) < at - ttl for moment in moments]
    pairs = {name: zip(found[name], old, strict=True) for name in columns}
    values = {name: [None if gone else v for v, gone in of] for name, of in pairs.items()}
    return values, sum(old)


def _user_columns(spec: ProfileSpec) -> list[str]:
    return view_columns(spec)["user_features"]


def _state_columns(spec: ProfileSpec) -> list[str]:
    domains = (spec.target, *spec.sources)
    return ["state_us", *(f"{domain}_{part}" for domain in domains for part in STATE_PARTS)]


def _than(spec: ProfileSpec) -> str:
    return f"older than {spec.features.ttl_days} days: defaults are used"


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
