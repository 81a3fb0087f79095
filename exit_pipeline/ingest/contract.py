"""The log contract (version 1): columns and types of what an adapter must return."""

from __future__ import annotations

import duckdb

from exit_pipeline.errors import ContractError
from exit_pipeline.profile import ProfileSpec

LONGEST_ID = 10_000
TEXT = ("VARCHAR",)
# The first of each is the one that is asked for. UBIGINT is none: half of it is no BIGINT.
WHOLE = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT")
NUMBER = ("DOUBLE", "FLOAT", "DECIMAL", *WHOLE)
INSTANT = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")  # pandas writes the latter
PROVENANCE = {"file": TEXT, "row": WHOLE}


def event_columns(spec: ProfileSpec) -> dict[str, tuple[str, ...]]:
    """Returns the columns that the `events` adapter must return, with the types let in."""
    text = ("event_id", "user_id", "item_id", "domain", "event_type", "request_id", *spec.context)
    return {
        "ds": ("DATE",),
        "ts": INSTANT,
        **dict.fromkeys(text, TEXT),
        "value": NUMBER,
        "position": WHOLE,
        **PROVENANCE,
    }


def attribute_columns(spec: ProfileSpec, table: str) -> dict[str, tuple[str, ...]]:
    """Returns the columns that the `items` or `users` adapter must return."""
    attributes = spec.items if table == "items" else spec.users
    return {
        f"{table[:-1]}_id": TEXT,
        "valid_from": INSTANT,
        **{n: TEXT if a.type == "categorical" else NUMBER for n, a in attributes.items()},
        **PROVENANCE,
    }


def check_columns(
    connection: duckdb.DuckDBPyConnection, wanted: dict[str, tuple[str, ...]], where: str
) -> None:
    """Checks the columns and types of the view `adapted`.

    Raises:
        ContractError: A column is missing or of a type that cannot be read without loss; the
            message names every one of them.
    """
    described = connection.execute("describe adapted").fetchall()
    found = {name: kind for name, kind, *_ in described}
    # An all-null column has no type of its own; its rows are judged one by one.
    problems = [
        f"column {name!r} is missing" if name not in found else _wrong(name, found[name], kinds)
        for name, kinds in wanted.items()
        if name not in found or not (found[name].split("(")[0] in kinds or found[name] == '"NULL"')
    ]
    if problems:
        raise ContractError(
            "; ".join(problems),
            where=where,
            mend="mend the files, or map and cast the column in the profile's adapter",
        )


def _wrong(name: str, found: str, wanted: tuple[str, ...]) -> str:
    if wanted == INSTANT and found.startswith("TIMESTAMP"):
        return (
            f"column {name!r} has no time zone ({found}); if its times are UTC: "
            f"{name}::timestamp at time zone 'UTC'"
        )
    return f"column {name!r} is {found}, not {wanted[0]}"
