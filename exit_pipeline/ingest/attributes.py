"""Ingests the attributes of items and users, each version valid from a moment on."""

from __future__ import annotations

import duckdb

from exit_pipeline.errors import ContractError
from exit_pipeline.ingest.adapter import make_adapter_view, reading
from exit_pipeline.ingest.contract import LONGEST_ID, attribute_columns, check_columns
from exit_pipeline.lake import Lake, create_table
from exit_pipeline.lake.table import DayState
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home


def ingest_attributes(
    connection: duckdb.DuckDBPyConnection, lake: Lake, profile: Profile, table: str
) -> DayState:
    """Reads `items` or `users` into the lake; doing it again changes nothing.

    Raises:
        LandingError: Files are missing or unreadable.
        ContractError: Columns or types are wrong, a row has no key or no `valid_from`, or a number
            is NaN or infinite.
    """
    adapt_attributes(connection, lake.home, profile, table)
    return lake.replace_all(connection, table, "kept")


def adapt_attributes(
    connection: duckdb.DuckDBPyConnection, home: Home, profile: Profile, table: str
) -> None:
    """Makes the table `kept` of what the adapter for `items` or `users` returns; writes nothing.

    Raises:
        LandingError: Files are missing or unreadable.
        ContractError: As `ingest_attributes` says.
    """
    spec = profile.spec
    attributes = spec.items if table == "items" else spec.users
    key = f"{table[:-1]}_id"
    make_adapter_view(connection, profile, home, table)
    check_columns(connection, attribute_columns(spec, table), table)
    names = {"key": key, "attributes": attributes}
    with reading(f"the landing files of {table!r}"):
        longest = {"longest_id": LONGEST_ID}
        create_table(connection, "broken", "attributes_broken", longest, **names)
        create_table(connection, "kept", "attributes", {}, **names)
    broken = connection.execute("select problem, rows from broken where rows > 0").fetchall()
    if broken:
        problems = ", ".join(f"{problem} ({rows})" for problem, rows in broken)
        raise ContractError(
            f"rows of {table!r} break the contract: {problems}; nothing was changed",
            where=str(profile.file.parent / profile.spec.adapter[table]),  # type: ignore[index]
            mend="mend the files, or filter and default them in the adapter",
        )
