"""Puts the adapter's view over landing files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb

from exit_pipeline.errors import ContractError, LandingError
from exit_pipeline.ingest.files import agreed_columns
from exit_pipeline.ingest.landing import landing_files, landing_root, raw_tables
from exit_pipeline.lake.duck import quoted, render
from exit_pipeline.lake.paths import hive_value
from exit_pipeline.privacy.forgotten import Forgotten, Listed
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home


def make_adapter_view(
    connection: duckdb.DuckDBPyConnection,
    profile: Profile,
    home: Home,
    table: str,
    day: date | None = None,
) -> None:
    """Makes the view `adapted`: what the profile's adapter returns for one table.

    Args:
        connection: An open DuckDB.
        profile: Says where raw tables lie and how they are adapted.
        home: The default landing place.
        table: `events`, `items` or `users`.
        day: For raw tables under `ds=` folders, the only day that is read.

    Raises:
        LandingError: A file is missing, empty, truncated or not Parquet, or lies under a folder
            `ds=` whose name is no day.
        ContractError: The adapter's SQL does not run on these files.
    """
    root = landing_root(profile, home)
    for name, pattern in raw_tables(profile, table).items():
        sql = _raw_sql(root, landing_files(root, name, pattern, day))
        connection.execute(f"create or replace temp view {quoted(f'raw_{name}')} as {sql}")
    try:
        connection.execute(
            f"create or replace temp view adapter_rows as {profile.adapter_sql(table)}"
        )
    except duckdb.Error as error:
        raise ContractError(
            f"the adapter for {table!r} does not run: {str(error).splitlines()[0]} "
            f"({_raw_columns(connection, profile, table)})",
            where=str(profile.file.parent / profile.spec.adapter[table]),  # type: ignore[index]
            mend="mend the SELECT: it may name these tables and columns",
        ) from error
    columns = connection.execute("select * from adapter_rows limit 0").description
    people = any(column[0] == "user_id" for column in columns)
    salt, forgotten = Forgotten(home).listed() if people else Listed("", frozenset())
    sql = render("adapted", day=day, salt=salt, forgotten=sorted(forgotten))
    connection.execute(f"create or replace temp view adapted as {sql}")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Says of a landing file that cannot be read what it is, and how to mend it.

    Raises:
        LandingError: DuckDB failed on the rows themselves; without memory or disk it is a
            `LakeError` (`lake.create_table`).
    """
    try:
        yield
    except duckdb.Error as error:
        raise LandingError(
            f"{what} cannot be read: {str(error).splitlines()[0]}",
            where=what,
            mend="land them again; a file may be damaged, or hold values its type cannot",
        ) from error


def _raw_columns(connection: duckdb.DuckDBPyConnection, profile: Profile, table: str) -> str:
    """Says which columns the raw tables have that an adapter reads, or which there are to read."""
    names = raw_tables(profile, table)
    if not names:
        return f"the raw tables are {', '.join(f'raw_{n}' for n in profile.spec.landing.tables)}"
    told = []
    for name in (f"raw_{name}" for name in names):
        columns = connection.execute(f"describe {quoted(name)}").fetchall()
        told.append(f"{name} has {', '.join(column[0] for column in columns)}")
    return "; ".join(told)


def _raw_sql(root: Path, files: Sequence[Path]) -> str:
    columns = {name.lower() for name in agreed_columns(files)}
    below = [file.relative_to(root).as_posix() for file in files]
    keys = {
        part.split("=", 1)[0]: None
        for path in below
        for part in path.split("/")[:-1]
        if "=" in part
    }
    return render(
        "_raw",
        files=[str(file) for file in files],
        root=f"{root}/",
        # The day that brought a file is its folder's; any other column is the file's own.
        keys={
            key: [hive_value(path, key) for path in below]
            for key in keys
            if key == "ds" or key.lower() not in columns
        },
        own_ds="ds" in keys and "ds" in columns,
    )
