"""In-memory DuckDB connections and the SQL files they run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exit_pipeline.lake.engine import Connection, Engine
from exit_pipeline.lake.limits import ran_out
from exit_pipeline.lake.paths import exact, hive_value
from exit_pipeline.process import process_name
from exit_pipeline.settings import Home, Settings

SQL = Path(__file__).parents[1] / "sql"


def connect(settings: Settings, home: Home) -> duckdb.DuckDBPyConnection:
    """Opens an in-memory DuckDB with the memory limit, threads and spill folder of the settings.

    Nothing shares a DuckDB file, so steps never wait for each other's locks.
    """
    return open_duckdb(settings.memory_limit, settings.threads, home.spill)


def open_duckdb(
    memory_limit: str, threads: int, spill: Path, *, keep_order: bool = False
) -> duckdb.DuckDBPyConnection:
    """Opens an in-memory DuckDB whose clock is UTC.

    Args:
        memory_limit: As DuckDB writes it, `4GB`.
        threads: Number of threads.
        spill: Folder for what does not fit into memory.
        keep_order: Whether rows without `order by` keep the order of their files.
    """
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": spill_folder(spill),
            "preserve_insertion_order": keep_order,
        }
    )
    # DuckDB draws its bar on standard output, where answers go.
    connection.execute("load icu; set TimeZone = 'UTC'; set enable_progress_bar = false")
    # Steps read the same files again and again, a column or two at a time.
    connection.execute("set parquet_metadata_cache = true")
    return connection


def spill_folder(spill: Path) -> str:
    """Names a folder for one DuckDB, after whose process it is of; DuckDB makes and removes it.

    One for each, as DuckDB numbers its spill files from zero.
    """
    spill.mkdir(parents=True, exist_ok=True)
    return str(spill / f"{process_name()}-{uuid4().hex[:8]}")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(SQL),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # SQL, not HTML: values are bound, identifiers are checked or quoted
    )
    environment.filters["quoted"] = quoted
    environment.filters["literal"] = literal
    environment.filters["exact"] = exact
    environment.filters["hive_value"] = hive_value
    return environment


def render(name: str, *, sum_bits: int = 128, **context: Any) -> str:
    """Renders `sql/NAME.sql`.

    Args:
        name: The file's name without its suffix.
        sum_bits: How wide a sum of whole numbers the engine has.
        **context: Names of the profile; a name that is missing is an error.
    """
    return _environment().get_template(f"{name}.sql").render(sum_bits=sum_bits, **context)


def quoted(identifier: str) -> str:
    """Quotes an SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """Quotes an SQL string, for the few places that take no bound parameter."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def empty_sql(schema: pa.Schema) -> str:
    """Returns a query of no row with the columns and types of a schema."""
    with duckdb.connect() as connection:
        empty = connection.from_arrow(schema.empty_table())
        columns = zip(empty.columns, empty.types, strict=True)
        return f"select {', '.join(f'null::{t} as {quoted(n)}' for n, t in columns)} limit 0"


def create_table(
    connection: Connection,
    table: str,
    name: str,
    values: Mapping[str, Any],
    **context: Any,
) -> None:
    """Fills a temporary table from `sql/NAME.sql`.

    Args:
        connection: Where the inputs are.
        table: The temporary table to make or replace.
        name: The SQL file.
        values: Bound to the `$name` parameters that the file uses.
        **context: Checked names that the template needs.

    Raises:
        LakeError: Memory or disk ran out.
    """
    if isinstance(connection, Engine):
        connection.fill(table, render(name, sum_bits=connection.sum_bits, **context), values)
        return
    sql = render(name, **context)
    code = re.sub(r"--[^\n]*", "", sql)
    used = {key: value for key, value in values.items() if re.search(rf"\${key}\b", code)}
    try:
        connection.execute(f"create or replace temp table {quoted(table)} as {sql}", used)
    except duckdb.Error as error:
        if refusal := ran_out(error, f"{name}.sql"):
            raise refusal from error
        raise
