"""Names that a profile must not choose: SQL's own words, and columns that the pipeline makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exit_pipeline.profile.schema import ProfileSpec

# Columns of the contract and of the label table that an attribute must not shadow.
RESERVED = frozenset(
    (
        *("ds", "event_id", "ts", "user_id", "item_id", "domain", "event_type", "request_id"),
        *("value", "position", "valid_from", "valid_to", "known_on", "file", "row", "rule"),
        *("unit", "scene", "cell", "band", "hour_band", "day_kind", "mature_on"),
        *("y", "y_click", "y_order", "y_negative", "icl", "event_timestamp", "created"),
    )
)
# Stands beside the context columns in `impressions`; a user attribute may be called so.
BESIDE_CONTEXT = "segment"


@lru_cache(maxsize=1)
def sql_words() -> frozenset[str]:
    """DuckDB's keywords that are no column name unless they are quoted."""
    import duckdb

    with duckdb.connect() as connection:
        words = connection.sql("from duckdb_keywords()").fetchall()
    return frozenset(word for word, kind in words if kind in ("reserved", "type_function"))


def name_problems(spec: ProfileSpec) -> Iterator[tuple[str, str]]:
    """Yields (key, what is wrong) for names that SQL or the pipeline's own columns forbid."""
    for number, domain in enumerate((spec.target, *spec.sources)):
        key = f"sources.{number - 1}" if number else "target"
        if domain in sql_words():
            yield key, f"{domain!r} is a word of SQL; let the adapter give the domain another name"
    made = dict.fromkeys(RESERVED, "the contract")
    for column, origin in generated_columns(spec):
        if (other := made.setdefault(column, origin)) != origin:
            yield (
                "sources",
                (
                    f"{other} and {origin} would both make the column {column!r}; "
                    "let the adapter name a domain differently"
                ),
            )
    taken = dict(made)
    for section in ("items", "users", "context"):
        if section == "context":
            taken.setdefault(BESIDE_CONTEXT, "the label table")
        for name in getattr(spec, section):
            mend = f"rename it in the adapter: `select {name} as {section[:4]}_{name}`"
            if name in sql_words():
                yield f"{section}.{name}", f"{name!r} is a word of SQL; {mend}"
            elif name in taken:
                yield f"{section}.{name}", f"{name!r} is a column of {taken[name]} already; {mend}"
            taken[name] = section


def generated_columns(spec: ProfileSpec) -> Iterator[tuple[str, str]]:
    """Yields every column that the pipeline makes of the domains' names, with what it is made of.

    The columns of features come from the lists that training reads; those of labels, and of the
    steps between, from the SQL templates themselves.
    """
    from exit_pipeline.features.inputs import interest_columns, view_columns

    bare = spec.model_copy(update={"items": {}, "users": {}, "sources": ()})
    for columns in view_columns(bare).values():
        yield from ((column, "the features") for column in columns)
    for variable, domains in (("d", (spec.target, *spec.sources)), ("s", spec.sources)):
        for domain in domains:
            for before, after in _patterns(variable):
                yield f"{before}{domain}{after}", f"the domain {domain!r}"
    for domain in (spec.target, *spec.sources):
        yield from ((column, f"the domain {domain!r}") for column in interest_columns(domain))


@lru_cache(maxsize=2)
def _patterns(variable: str) -> tuple[tuple[str, str], ...]:
    """What stands before and after a domain's name in the columns of the SQL templates."""
    from exit_pipeline.lake.duck import SQL

    found: set[tuple[str, str]] = set()
    column = re.compile(r"([a-z0-9_]*)\{\{ " + variable + r" \}\}([a-z0-9_]*)")
    for file in SQL.glob("*.sql"):
        if not file.name.startswith("bench_"):
            found.update(column.findall(file.read_text("utf-8")))
    return tuple(sorted(pair for pair in found if any(pair)))
