"""The stages from landed events to training rows, all days at once, without an orchestrator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from exit_pipeline.features import FEATURE_TABLES, build_features, newest_feature_day
from exit_pipeline.features.training_set import build_training_set
from exit_pipeline.labels import (
    build_group_consistency,
    build_icl_labels,
    build_impressions,
    build_source_interest,
    last_mature,
    last_morning,
)
from exit_pipeline.labels.stored import first_landed
from exit_pipeline.lake import Connection, Lake
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Settings

# What each stage is there for; it builds what these are made of too.
STAGES: Mapping[str, Sequence[str]] = {
    "labels": ("icl_labels",),
    "features": FEATURE_TABLES,
    "training-set": ("training_set",),
}


def build_stage(
    stage: str, engine: Connection, settings: Settings, lake: Lake, profile: Profile, first: date
) -> None:
    """Builds a stage's tables, as far as events that landed since a day move them.

    Args:
        stage: One of `STAGES`.
        engine: Fills the tables.
        settings: Of the feature store.
        lake: Holds events, items and users, and gets the tables.
        profile: The data set.
        first: The first landing day; since then none brought rows of a day before it.
    """
    spec, newest = profile.spec, last_mature(lake, profile.spec)
    opened = max(first - timedelta(days=spec.labels.horizon_days), first_landed(lake, spec))
    mature = (opened, newest) if newest is not None and newest >= opened else None
    if mature:
        for build in (build_impressions, build_source_interest):
            build(engine, lake, profile, *mature)
        build_group_consistency(engine, lake, profile, first, last_morning(lake) or mature[1])
        if stage != "features":
            build_icl_labels(engine, lake, profile, *mature)
    if stage == "labels":
        return
    build_feature_tables(engine, lake, profile, first)
    if stage == "training-set" and mature:
        build_training_set(engine, lake, profile, *mature, settings=settings)


def build_feature_tables(engine: Connection, lake: Lake, profile: Profile, first: date) -> None:
    """Builds every feature table from a day on, as far as what it reads goes."""
    for table in FEATURE_TABLES:
        last = newest_feature_day(lake, table)
        if last is not None and last >= first:
            build_features(engine, lake, profile, first, last, table=table)
