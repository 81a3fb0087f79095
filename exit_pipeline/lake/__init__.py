"""The lake: Delta tables, one folder a table, read and written through DuckDB and Arrow."""

from exit_pipeline.lake.duck import connect, create_table, render
from exit_pipeline.lake.engine import Connection
from exit_pipeline.lake.table import DayState, Lake

__all__ = ["Connection", "DayState", "Lake", "connect", "create_table", "render"]
