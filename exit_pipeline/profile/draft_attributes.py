"""How raw tables of items and users are turned into the log contract, as a draft."""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from exit_pipeline.lake.duck import quoted, render
from exit_pipeline.profile.draft_events import (
    NUMBERS,
    TEXTS,
    EventsDraft,
    free_name,
    instant,
    kind_of,
    values_of,
)
from exit_pipeline.profile.look import PLURALS, RawTable, look_at

MOST_VALUES = 2000  # of an attribute that could be an interest unit


@dataclass
class AttributesDraft:
    """Items or users: the adapter, the raw tables it reads, and the attributes with their types.

    `few` names the categorical ones that have a fair number of values, the fewest first.
    """

    sql: str
    raw: list[str]
    attributes: dict[str, str] = field(default_factory=dict)
    few: list[str] = field(default_factory=list)


def draft_attributes(
    connection: duckdb.DuckDBPyConnection,
    role: str,
    tables: list[RawTable],
    logs: list[EventsDraft],
    made: set[str],
) -> AttributesDraft:
    """Drafts the adapter of items or of users, from the table that has that key alone.

    Args:
        connection: An open DuckDB.
        role: `item` or `user`.
        tables: Everything under the landing place.
        logs: What keys are taken from where no table tells of them.
        made: Names of columns that the pipeline makes itself.
    """
    other = "user" if role == "item" else "item"
    fit = [table for table in tables if table.roles(role) and not table.roles(other)]
    if not fit:
        keys = {log.name: (log.columns[f"{role}_id"], log.columns["ts"]) for log in logs}
        sql = render("draft_keys", table=f"{role}s", key=f"{role}_id", keys=keys)
        return AttributesDraft(sql, list(keys))
    return _draft(
        connection,
        role,
        max(fit, key=lambda t: (t.name in PLURALS[role].split(), len(t.columns))),
        made,
    )


def _draft(
    connection: duckdb.DuckDBPyConnection, role: str, table: RawTable, made: set[str]
) -> AttributesDraft:
    roles = table.roles(role, "valid_from")
    look_at(connection, table)
    draft, notes, few = AttributesDraft("", [table.name]), [], {}
    columns = {
        f"{role}_id": f"{quoted(roles[role])}::varchar",
        "valid_from": _since(connection, table, roles.get("valid_from")),
    }
    for column in table.columns:
        kind = kind_of(column, table.columns)
        if column in roles.values() or column == "ds":
            continue
        if kind not in NUMBERS | TEXTS:
            notes.append(f"{column} is left out: {table.columns[column]} is no attribute.")
            continue
        name = free_name(column, role, made | set(draft.attributes))
        columns[name] = quoted(column) + ("::varchar" if kind in TEXTS else "::double")
        draft.attributes[name] = "categorical" if kind in TEXTS else "numeric"
        query = render("draft_distinct", column=column)
        values = connection.execute(query).fetchone()[0]  # type: ignore[index]
        if kind in TEXTS and 2 <= values <= MOST_VALUES:
            few[name] = values
    draft.few = sorted(few, key=few.__getitem__)
    draft.sql = render(
        "draft_attributes", table=f"{role}s", notes=notes, columns=columns, raw=table.name
    )
    return draft


def _since(connection: duckdb.DuckDBPyConnection, table: RawTable, column: str | None) -> str:
    if column is None:
        return "timestamptz '1970-01-01 00:00:00+00'"
    sample = values_of(connection, column, share=0)
    return instant(column, kind_of(column, table.columns), sample)
