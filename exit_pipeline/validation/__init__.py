"""Validation with Great Expectations, run inside DuckDB over a table's own files."""

from exit_pipeline.validation.run import ValidationReport, validate
from exit_pipeline.validation.suites import SUITES, rules_for

__all__ = ["SUITES", "ValidationReport", "rules_for", "validate"]
