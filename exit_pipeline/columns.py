"""Where each column of each table comes from: the queries behind the tables, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exit_pipeline.features.entities import SNAPSHOTS, entity_query
from exit_pipeline.features.inputs import interest_columns, view_columns
from exit_pipeline.labels.names import names
from exit_pipeline.lake import render
from exit_pipeline.lake.columns import Columns, columns_of_query
from exit_pipeline.profile import ProfileSpec

# A table, the query that makes it, and the queries that feed that one.
QUERIES = {
    "impressions": (),
    "source_interest": ("source_events",),
    "group_consistency": ("group_sums", "signed", "labelled"),
    "icl_labels": (),
    "user_features": (),
    "item_features": (),
    "scene_features": (),
    "user_interest": ("interest_events",),
}


def column_lineage(
    table: str, spec: ProfileSpec, columns: Callable[[str], Sequence[str]]
) -> Columns:
    """Returns by column of a table the (table, column) pairs that it is made of.

    Args:
        table: A table of the lake; one that is read from landing files has no inputs here.
        spec: The profile.
        columns: Says which columns a stored table has.
    """
    if table == "training_set":
        return _training_set(spec, columns)
    if table not in QUERIES:
        return {}
    context = names(spec)
    if table in ("user_features", "item_features", "user_interest"):
        context |= {"items": spec.items, "users": spec.users}
    context["domains"] = (spec.target, *spec.sources)
    parts = {part: render(part, **context) for part in QUERIES[table]}
    return columns_of_query(render(table, **context), parts, _inputs(columns))


def _inputs(columns: Callable[[str], Sequence[str]]) -> Mapping[str, Sequence[str]]:
    tables = ("events", "items", "users", "impressions", "source_interest", "group_consistency",
              *SNAPSHOTS)  # fmt: skip
    return {table: found for table in (*tables, "icl_labels") if (found := columns(table))}


def _training_set(spec: ProfileSpec, columns: Callable[[str], Sequence[str]]) -> Columns:
    query = entity_query(spec, "select * from {}".format)
    found = columns_of_query(query, {}, _inputs(columns))
    for view, features in view_columns(spec).items():
        found |= {name: [(view, name)] for name in features}
    for domain in (spec.target, *spec.sources):
        parts = [n for n in columns("user_interest") if n.startswith(f"{domain}_")]
        state = [("user_interest", name) for name in parts]
        found |= {name: [*state, *found["unit"]] for name in interest_columns(domain)}
    return {name: found.get(name, []) for name in columns("training_set")}
