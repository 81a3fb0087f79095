"""Ingests the attributes of items and users, each version valid from a moment on."""

from __future__ import annotations

import duckdb

from exit_pipeline.errors import ContractError
from exit_pipeline.ingest.contract import attribute_columns, check_columns
from exit_pipeline.ingest.landing import make_adapter_view
from exit_pipeline.lake import Lake, render
from exit_pipeline.lake.table import DayState
from exit_pipeline.profile import Profile


def ingest_attributes(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, table: str
) -> DayState:
    """Reads `items` or `users` into the lake; doing it again changes nothing.

    Raises:
        LandingError: Files are missing or unreadable.
        ContractError: Columns or types are wrong, or a row has no key or no `valid_from`.
    """
    spec = profile.spec
    attributes = spec.items if table == "items" else spec.users
    key = f"{table[:-1]}_id"
    make_adapter_view(connection, profile, lake.home, table)
    check_columns(connection, attribute_columns(spec, table), table)
    query = f"select count(*) from adapted where {key} is null or {key} = '' or valid_from is null"
    if (broken := connection.execute(query).fetchone()[0]) > 0:  # type: ignore[index]
        raise ContractError(
            f"{broken} rows of {table!r} have no {key} or no valid_from",
            where=str(profile.file.parent / profile.spec.adapter[table]),  # type: ignore[index]
            mend="mend the files, or filter and default them in the adapter",
        )
    sql = render("attributes", key=key, attributes=attributes)
    connection.execute(f"create or replace temp table kept as {sql}")
    return lake.replace_all(connection, table, "kept")
