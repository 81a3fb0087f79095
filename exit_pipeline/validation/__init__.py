"""Validation with Great Expectations, run inside DuckDB over a table's own files."""

from exit_pipeline.validation.suites import BALANCED, BLOCKING, EXPECTATIONS, SUITES, rules_for

__all__ = ["BALANCED", "BLOCKING", "EXPECTATIONS", "SUITES", "rules_for"]
