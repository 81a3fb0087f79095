"""Daily partitions, and which days of its inputs a day of a table reads."""

from __future__ import annotations

from datetime import date, timedelta

from dagster import AssetDep, DailyPartitionsDefinition, TimeWindowPartitionMapping

from assets.resources import PIPELINE

_SPEC = PIPELINE.profile.spec
_LABELS = _SPEC.labels
_MOVED = _SPEC.landing.lateness_days + _LABELS.horizon_days
# Conditions follow new content in so many of the newest days; what is older is caught up.
SETTLING_DAYS = _LABELS.maturity_days + 1
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def range_tags(first: date, last: date) -> dict[str, str]:
    """The tags of a run that materializes some days that follow each other."""
    return {RANGE[0]: first.isoformat(), RANGE[1]: last.isoformat()}


def _days_of_the_log(after: int = 0, first: int = 0) -> DailyPartitionsDefinition:
    """The days of the log from the `first` on; the last is moved by `after`, for a live log too."""
    return DailyPartitionsDefinition(
        start_date=(_SPEC.start + timedelta(days=first)).isoformat(),
        end_date=(_SPEC.end + timedelta(days=1 + after)).isoformat() if _SPEC.end else None,
        end_offset=after,
        timezone="UTC",
    )


# A day that cannot be materialized yet is no partition yet: «materialize all» means what it says.
daily = _days_of_the_log()
mature = _days_of_the_log(-_LABELS.horizon_days)
# Group statistics of a day are known on its morning, once a first exposure is mature.
mornings = _days_of_the_log(1, first=_LABELS.maturity_days)
evenings = _days_of_the_log(first=_LABELS.maturity_days - 1)


def days(asset: str, before: int = 0, after: int = 0) -> AssetDep:
    """A dependency of day D on the days D − before … D + after of an asset."""
    mapping = TimeWindowPartitionMapping(
        start_offset=-before, end_offset=after, allow_nonexistent_upstream_partitions=True
    )
    return AssetDep(asset, partition_mapping=mapping)


# Outcomes and interest after t arrive until the day that matures D; interest before t reaches back
# W; the user's own response reaches back over exposures.
events_of_impressions = days("events", _LABELS.horizon_days, _LABELS.horizon_days)
events_of_source_interest = days("events", _LABELS.history_days, _LABELS.horizon_days)
impressions_of_source_interest = days("impressions", _LABELS.consistency.own_response_days)
window_of_events = days("events", _SPEC.features.window_days)
events_of_states = days("events", _SPEC.features.reach_days)


def known_on_the_morning(asset: str) -> AssetDep:
    """What group sums of day D read: the exposures that mature on D, and those late rows move."""
    return days(asset, _LABELS.maturity_days + _MOVED, -_LABELS.maturity_days)


# Replaying what was known when, for users with late rows, reads their log as far as it may matter.
_REPLAYED = max(_LABELS.consistency.own_response_days, _LABELS.history_days)
events_of_group_sums = days("events", _LABELS.maturity_days + _MOVED + _REPLAYED, -1)


def next_morning(asset: str) -> AssetDep:
    """What is known on the morning after day D."""
    return days(asset, -1, 1)
