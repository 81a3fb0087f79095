"""The rows that features are joined with."""

from __future__ import annotations

from collections.abc import Callable

from exit_pipeline.features.inputs import context_columns
from exit_pipeline.lake import render
from exit_pipeline.profile import ProfileSpec

DAILY, LASTING = ("icl_labels", "impressions"), ("items", "users")  # what they are made of


def entity_query(spec: ProfileSpec, rows: Callable[[str], str]) -> str:
    """Returns the query of the training set's entity rows.

    Args:
        spec: The profile.
        rows: The query of a table's rows, by its name.
    """
    return render(
        "entity_rows", sources=spec.sources, context_columns=context_columns(spec),
        unit=spec.interest_unit, group=spec.group, lag_us=spec.features.lag_us,
        labels=rows("icl_labels"), impressions=rows("impressions"),
        items=rows("items"), users=rows("users"),
    )  # fmt: skip
