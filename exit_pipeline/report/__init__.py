"""The transfer report: one page per registered version, that needs nothing but itself."""

from exit_pipeline.report.build import Report, build_report
from exit_pipeline.report.page import preview, write_report
from exit_pipeline.report.words import headline

__all__ = ["Report", "build_report", "headline", "preview", "write_report"]
