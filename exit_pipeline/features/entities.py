"""The rows that features are joined with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exit_pipeline.features.inputs import context_columns
from exit_pipeline.lake import render
from exit_pipeline.profile import ProfileSpec

SNAPSHOTS = ("item_features", "user_features")  # what is known of a row's unit and cell


def entity_query(spec: ProfileSpec, rows: Callable[[str], str]) -> str:
    """Returns the query of the training set's entity rows.

    Args:
        spec: The profile.
        rows: The query of a table's rows, by its name.
    """
    return render(
        "entity_rows", sources=spec.sources, labels=rows("icl_labels"),
        impressions=rows("impressions"), **asked_by(spec, rows),
    )  # fmt: skip


def asked_by(
    spec: ProfileSpec, rows: Callable[[str], str] = "select * from {}".format
) -> dict[str, Any]:
    """Returns what templates of entity rows need to say by what unit and cell features are found.

    Args:
        spec: The profile.
        rows: The query of a snapshot's rows, by its view's name.
    """
    items, users = map(rows, SNAPSHOTS)
    of_users = [name for name in spec.group if name in spec.users]
    known = {"unit": spec.interest_unit, "group": spec.group, "of_users": of_users,
             "item_rows": items, "user_rows": users}  # fmt: skip
    return {"known": known, "context_columns": context_columns(spec)}
