"""What a run materializes, stage by stage, and for which days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from assets.definitions import defs
from assets.resources import PIPELINE
from exit_pipeline.ingest import landed_days
from exit_pipeline.labels import last_landed, last_mature, last_morning, oldest_event
from exit_pipeline.lake.table import ranges_of

DAY = timedelta(days=1)
LANDED = ("events", "quarantine", "items", "users")
AS_LANDED = ("user_features", "item_features", "user_interest")
MATURE = ("impressions", "source_interest")
LABELLED = ("icl_labels", "training_set")


@dataclass(frozen=True)
class Stage:
    """Some assets and, for daily ones, the days to materialize."""

    assets: tuple[str, ...]
    first: date | None = None
    last: date | None = None

    @property
    def title(self) -> str:
        """The stage as a line of progress."""
        days = f" · {self.first} … {self.last}" if self.first else ""
        return f"{', '.join(self.assets)}{days}"


def stages(first: date, last: date) -> Iterator[Stage]:
    """Yields the stages in order; later ones look at what the earlier ones brought."""
    lake = PIPELINE.lake("plan")
    before = [day for day in lake.days("events") if first <= day <= last]
    for begin, end in _without_gaps(first, last):
        yield Stage(LANDED, begin, end)
    yield from built_on(first, last, _touched(first, last, min(before, default=None)))
    yield Stage(_undated())


def built_on(first: date, last: date, touched: date) -> Iterator[Stage]:
    """Yields what is built, by day, on landing days that are in the lake.

    Args:
        first: The first landing day.
        last: The last one.
        touched: The first day whose events they may have changed, late rows included.
    """
    lake, spec = PIPELINE.lake("plan"), PIPELINE.profile.spec
    # A day that lands again moves what was built on it since: all of it follows.
    last = max(last, last_landed(lake) or last)
    yield Stage(AS_LANDED, first, last)
    mature, morning = last_mature(lake, spec), last_morning(lake)
    if mature is not None and morning is not None:
        start = max(touched - spec.labels.horizon_days * DAY, spec.start)
        # Nothing is known of a group before a first exposure is mature.
        known = max(first, spec.start + spec.labels.maturity_days * DAY)
        yield Stage(MATURE, start, mature)
        yield Stage(("group_consistency",), known, min(last + DAY, morning))
        yield Stage(("scene_features",), known - DAY, min(last + DAY, morning) - DAY)
        yield Stage(LABELLED, start, mature)


def _without_gaps(first: date, last: date) -> list[tuple[date, date]]:
    """Returns ranges of landing days; a day that is missing holds up what it would mature."""
    landed = [day for day in landed_days(PIPELINE.profile, PIPELINE.home) if first <= day <= last]
    # Where none is: the log does not lie by day, or reading it says what is wrong.
    return ranges_of(landed) or [(first, last)]


def _touched(first: date, last: date, again: date | None) -> date:
    """The first event day that the landing days may have changed.

    A day that lands `again` may have lost rows that it had, of any day that it could reach.
    """
    reached = again - PIPELINE.profile.spec.landing.lateness_days * DAY if again else first
    return min(reached, oldest_event(PIPELINE.lake("plan"), first, last))


def _undated() -> tuple[str, ...]:
    graph = defs.resolve_asset_graph()
    order = [key for level in graph.toposorted_asset_keys_by_level for key in sorted(level)]
    return tuple(
        key.path[-1]
        for key in order
        if graph.get(key).partitions_def is None and key.path[-1] not in LANDED
    )
