"""Engines that fill the tables of a lake from the SQL files: DuckDB, or Spark."""

from exit_pipeline.engines.choose import check_engine, open_engine

__all__ = ["check_engine", "open_engine"]
