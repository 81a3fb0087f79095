"""One explained ranking: the user from Feast's online store, the model from the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from feast import FeatureStore

from exit_pipeline.errors import UsageError
from exit_pipeline.feast_stores.repo import open_store
from exit_pipeline.features.inputs import view_columns
from exit_pipeline.features.training_set import STATE_PARTS, state_features
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import Profile, ProfileSpec
from exit_pipeline.ranking.scorer import Scorer, Scores
from exit_pipeline.registry import CHAMPION, Registry
from exit_pipeline.settings import Settings


@dataclass(frozen=True)
class RankedItem:
    """One item of a ranking; `own + bias + Σ carry` is the logit of `score`."""

    rank: int
    item_id: str
    score: float
    p_target: float
    own: float
    bias: float
    carry: dict[str, float]
    p_source: dict[str, float]
    p_transfer: dict[str, float]
    unit: str | None


@dataclass(frozen=True)
class Ranking:
    """A ranking with what it was made from."""

    user_id: str
    scene: dict[str, str]
    model_version: int
    at: str
    features_as_of: str | None
    items: list[RankedItem]
    flags: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


class Ranker:
    """Ranks items for users with the champion.

    Args:
        settings: Threads and memory.
        lake: The lake; its home has the feature store and the registry.
        profile: The data set.
    """

    def __init__(self, settings: Settings, lake: Lake, profile: Profile) -> None:
        registry = Registry(lake.home, profile.name)
        self.version = registry.get(CHAMPION).version
        self.scorer = Scorer.load(registry.folder(self.version))
        self.settings, self.lake, self.spec = settings, lake, profile.spec
        self.store = open_store(settings, lake.home)

    def catalogue(self) -> list[str]:
        """Items known at the newest day, by id."""
        with connect(self.settings, self.lake.home) as connection:
            self.lake.view(connection, "item_features")
            return [row[0] for row in connection.execute(render("catalogue")).fetchall()]

    def newest(self) -> datetime:
        """The moment of the newest features: the end of the last day, with its lag."""
        with connect(self.settings, self.lake.home) as connection:
            self.lake.view(connection, "item_features")
            return connection.execute(render("newest_features")).fetchone()[0]  # type: ignore[index]

    def rank(
        self,
        user_id: str,
        scene: Mapping[str, str],
        *,
        k: int = 10,
        candidates: Sequence[str] | None = None,
        at: datetime | None = None,
    ) -> Ranking:
        """Ranks items for a user in a scene.

        Args:
            user_id: Who asks; an unknown user gets what training learned for the unknown.
            scene: Context columns and scene bands by name, as the profile declares them.
            k: How many items to return.
            candidates: Items to rank; by default the whole catalogue.
            at: The request's time; by default the moment of the newest features.

        Raises:
            UsageError: The scene names an unknown column or value.
            RegistryError: There is no champion yet.
        """
        at = at or self.newest()
        items = list(candidates) if candidates is not None else self.catalogue()
        rows, flags = self.rows(user_id, items, scene_of(self.spec, scene, at), at)
        scores = self.scorer.score(rows)
        best = sorted(
            range(len(items)), key=lambda i: (-scores.score[i], -scores.logit[i], items[i])
        )[:k]
        state = rows.column("state_us")[0].as_py() if len(items) else None
        return Ranking(
            user_id=user_id,
            scene=scene_of(self.spec, scene, at),
            model_version=self.version,
            at=at.isoformat(),
            features_as_of=_iso(state),
            items=[self._item(n, i, rows, scores) for n, i in enumerate(best, 1)],
            flags=flags,
        )

    def rows(
        self, user_id: str, items: Sequence[str], scene: Mapping[str, str], at: datetime
    ) -> tuple[pa.RecordBatch, list[str]]:
        """Returns the scorer's inputs for some items, and flags for what was not known."""
        return online_rows(self.store, self.spec, user_id, items, scene, at)

    def _item(self, rank: int, i: int, rows: pa.RecordBatch, scores: Scores) -> RankedItem:
        def by_source(values: Any) -> dict[str, float]:
            return {s: float(values[i, k]) for k, s in enumerate(self.scorer.sources)}

        return RankedItem(
            rank=rank,
            item_id=rows.column("item_id")[i].as_py(),
            score=float(scores.score[i]),
            p_target=float(scores.p_target[i]),
            own=float(scores.own[i]),
            bias=float(scores.bias[i]),
            carry=by_source(scores.carry),
            p_source=by_source(scores.p_source),
            p_transfer=by_source(scores.p_transfer),
            unit=rows.column("unit")[i].as_py(),
        )


def scene_of(spec: ProfileSpec, given: Mapping[str, str], at: datetime) -> dict[str, str]:
    """Completes a scene: bands of time from the request's time, unless they are given.

    Raises:
        UsageError: An unknown column, or a value that the profile does not declare.
    """
    local = at.astimezone(ZoneInfo(spec.scene.timezone))
    band = [name for name, hour in spec.scene.hour_bands.items() if hour <= local.hour][-1]
    declared: dict[str, tuple[str, ...]] = {
        "hour_band": tuple(spec.scene.hour_bands),
        "day_kind": ("weekday", "weekend"),
        **{name: column.values for name, column in spec.context.items()},
    }
    for name, value in given.items():
        if name not in declared or value not in declared[name]:
            where = f"{name}={value}"
            if name not in declared:
                raise UsageError(
                    "no such scene column", where=where, mend=f"one of {', '.join(declared)}"
                )
            raise UsageError(
                "no such value", where=where, mend=f"one of {', '.join(declared[name])}"
            )
    bands = {"hour_band": band, "day_kind": "weekend" if local.weekday() >= 5 else "weekday"}
    return {**bands, **given}


def online_rows(
    store: FeatureStore, spec: ProfileSpec, user_id: str, items: Sequence[str],
    scene: Mapping[str, str], at: datetime,
) -> tuple[pa.RecordBatch, list[str]]:  # fmt: skip
    """Reads the scorer's inputs of a user and some items out of Feast's online store.

    Args:
        store: The profile's.
        spec: The profile.
        user_id: Who asks.
        items: n candidates.
        scene: Complete (see `scene_of`).
        at: The request's time.

    Returns:
        n rows with the columns of the training set that a model reads, and flags.
    """
    views, n = view_columns(spec), len(items)
    user = _read(store, "user_features", views["user_features"], [{"user_id": user_id}])
    domains = (spec.target, *spec.sources)
    parts = ["state_us", *(f"{domain}_{part}" for domain in domains for part in STATE_PARTS)]
    state = _read(store, "user_interest", parts, [{"user_id": user_id}])
    item = _read(store, "item_features", views["item_features"], [{"item_id": i} for i in items])
    units = items if spec.interest_unit == "item_id" else item[spec.interest_unit]
    cell = "|".join(_group_value(name, scene, user) for name in spec.group)
    group = _read(
        store, "scene_features", views["scene_features"],
        [{"unit": unit or "", "cell": cell} for unit in units],
    )  # fmt: skip
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
    flags = [] if user["user_shown"][0] is not None else ["unknown user: defaults are used"]
    return batch, flags


def _read(
    store: FeatureStore, view: str, columns: Sequence[str], keys: list[dict[str, str]]
) -> dict[str, list[Any]]:
    if not keys:
        return {name: [] for name in columns}
    found = store.get_online_features(
        features=[f"{view}:{name}" for name in columns], entity_rows=keys
    ).to_dict()
    return {name: found[name] for name in columns}


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


def _iso(us: int | None) -> str | None:
    return None if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat()
