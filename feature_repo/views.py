"""Entities, feature views and the feature service of a profile."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, PushSource
from feast.types import Array, Float64, Int64, String
from feast.value_type import ValueType

from exit_pipeline.feast_stores.source import DeltaSource
from exit_pipeline.profile import ProfileSpec

OWNER = "team:recommendations"
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, owner=OWNER,
              description="Who asks.")  # fmt: skip
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, owner=OWNER,
              description="What may be shown.")  # fmt: skip
UNIT = Entity(name="unit", join_keys=["unit"], value_type=ValueType.STRING, owner=OWNER,
              description="What interest is in: an item, category or tag.")  # fmt: skip
CELL = Entity(name="cell", join_keys=["cell"], value_type=ValueType.STRING, owner=OWNER,
              description="The part of the scene that a group shares.")  # fmt: skip
ENTITIES = [USER, ITEM, UNIT, CELL]


def feature_views(spec: ProfileSpec, lake: Path) -> list[FeatureView]:
    """Returns the four views of a profile over its lake."""
    sources = spec.sources

    def fields(attributes: dict) -> list[Field]:
        kinds = {"categorical": String, "numeric": Float64}
        return [Field(name=n, dtype=kinds[a.type]) for n, a in attributes.items()]

    def numbers(*names: str, dtype=Float64) -> list[Field]:
        return [Field(name=name, dtype=dtype) for name in names]

    return [
        _view("user_features", [USER], spec, lake, "Attributes and rates of users, daily.", [
            *fields(spec.users),
            *numbers("user_shown", *(f"user_{s}" for s in sources), dtype=Int64),
            *numbers("user_rate", "user_negative_rate"),
        ]),
        _view("item_features", [ITEM], spec, lake, "Attributes and rates of items, daily.", [
            *fields(spec.items),
            *numbers("item_shown", dtype=Int64),
            *numbers("item_rate", "item_order_rate", "item_negative_rate"),
        ]),
        _view("scene_features", [UNIT, CELL], spec, lake, "Rates and lift of groups, daily.", [
            *numbers("group_shown", *(f"support_{s}" for s in sources), dtype=Int64),
            *numbers("group_rate", *(f"{p}_{s}" for s in sources for p in ("lift", "carries"))),
        ]),
        _view("user_interest", [USER], spec, lake, "What users are interested in, as it changes.", [
            Field(name="state_us", dtype=Int64),
            *(Field(name=f"{domain}_{part}", dtype=Array(dtype))
              for domain in (spec.target, *sources)
              for part, dtype in (("units", String), ("last_us", Int64), ("counts", Int64),
                                  ("weights", Float64))),
            *numbers(*(f"{domain}_state_us" for domain in (spec.target, *sources)), dtype=Int64),
        ]),
    ]  # fmt: skip


def feature_service(views: list[FeatureView], name: str = "ranking") -> FeatureService:
    """Returns the service that training and ranking read; one is kept per model version."""
    return FeatureService(
        name=name,
        features=list(views),
        owner=OWNER,
        tags={"stage": "ranking"},
        description="Everything that a model reads of users, items and groups.",
    )


def _view(
    name: str, entities: list[Entity], spec: ProfileSpec, lake: Path, description: str,
    schema: list[Field],
) -> FeatureView:  # fmt: skip
    batch = DeltaSource(
        name=name,
        path=str(lake / name),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        description=description,
        owner=OWNER,
    )
    keys = [Field(name=entity.join_key, dtype=String) for entity in entities]
    return FeatureView(
        name=name,
        entities=entities,
        schema=[*keys, *schema],
        ttl=timedelta(days=spec.features.ttl_days),
        # The state of interest is pushed as events land, and rebuilt by the daily batch.
        source=PushSource(name=f"{name}_push", batch_source=batch)
        if name == "user_interest"
        else batch,
        online=True,
        owner=OWNER,
        tags={"profile": spec.name},
        description=description,
    )
