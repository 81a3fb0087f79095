"""Labels: outcomes, source interest, group consistency and the ICL, in DuckDB."""

from exit_pipeline.labels.build import (
    build_group_consistency,
    build_icl_labels,
    build_impressions,
    build_source_interest,
    last_landed,
    last_mature,
    last_morning,
    last_whole,
    missing_day,
    newest_day,
    oldest_event,
)

__all__ = [
    "build_group_consistency",
    "build_icl_labels",
    "build_impressions",
    "build_source_interest",
    "last_landed",
    "last_mature",
    "last_morning",
    "last_whole",
    "missing_day",
    "newest_day",
    "oldest_event",
]
