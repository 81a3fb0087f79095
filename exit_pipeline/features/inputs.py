"""Which columns of the training set are inputs of a model, as the profile and the views say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exit_pipeline.features.interest import INTEREST_FEATURES
from exit_pipeline.profile import ProfileSpec

if TYPE_CHECKING:
    from exit_pipeline.model.inputs import InputSpec


def context_columns(spec: ProfileSpec) -> list[str]:
    """Returns the categorical columns that the request itself brings."""
    return ["hour_band", "day_kind", *spec.context]


def view_columns(spec: ProfileSpec) -> dict[str, list[str]]:
    """Returns the scalar columns of each Feast view that reach the training set."""
    return {
        "user_features": [
            *spec.users,
            "user_shown",
            "user_rate",
            "user_negative_rate",
            *(f"user_{s}" for s in spec.sources),
        ],
        "item_features": [
            *spec.items,
            "item_shown",
            "item_rate",
            "item_order_rate",
            "item_negative_rate",
        ],
        "scene_features": [
            "group_shown",
            "group_rate",
            *(f"{part}_{s}" for s in spec.sources for part in ("support", "lift", "carries")),
        ],
    }


def interest_columns(domain: str) -> list[str]:
    """Returns the names of the features made of a user's interest state in one domain."""
    return [f"{domain}_{name}" for name in INTEREST_FEATURES]


def unit_input(spec: ProfileSpec) -> str:
    """Returns the categorical input that holds the interest unit."""
    return "item_id" if spec.interest_unit == "item_id" else "unit"


def input_spec(spec: ProfileSpec) -> InputSpec:
    """Returns the model's inputs: categorical, numeric, and numeric of each source."""
    from exit_pipeline.model.inputs import InputSpec

    def kind(attributes: dict, wanted: str) -> list[str]:
        return [name for name, attribute in attributes.items() if attribute.type == wanted]

    unit = [] if spec.interest_unit == "item_id" else [unit_input(spec)]
    attributes = [n for n in kind(spec.items, "categorical") if n != spec.interest_unit]
    position = ["position"] if spec.use_position else []
    return InputSpec(
        categorical=(
            "user_id",
            "item_id",
            *unit,
            *attributes,
            *kind(spec.users, "categorical"),
            *context_columns(spec),
        ),
        numeric=(
            "user_shown",
            "user_rate",
            "user_negative_rate",
            "item_shown",
            "item_rate",
            "item_order_rate",
            "item_negative_rate",
            "group_shown",
            "group_rate",
            *interest_columns(spec.target),
            *kind(spec.items, "numeric"),
            *kind(spec.users, "numeric"),
            *position,
        ),
        source_numeric={
            s: (f"user_{s}", *interest_columns(s), f"support_{s}", f"lift_{s}", f"carries_{s}")
            for s in spec.sources
        },
    )


def sample_columns(spec: ProfileSpec) -> list[str]:
    """Returns the inputs that the views and the request tell: all but the position."""
    return [name for name in input_spec(spec).columns if name != "position"]
