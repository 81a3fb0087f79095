"""What looks at the landing place and at the tables, and asks for runs."""

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.busy import LANDING, backfilling, reading
from assets.jobs import daily_ingest, late_data, recorded
from assets.partitions import SETTLING_DAYS, daily, mature, range_tags
from assets.resources import EVERY, PIPELINE

if TYPE_CHECKING:
    from exit_pipeline.ingest.arrivals import Arrival
    from exit_pipeline.lake import Lake

# A tick looks at so many changed days at most, the oldest first; the others wait for the next one.
DAYS_A_TICK = 31
PAUSE = 3600.0  # seconds until what a run that failed was to build is asked for again


@sensor(
    job=daily_ingest, minimum_interval_seconds=EVERY, default_status=DefaultSensorStatus.RUNNING
)
def landing_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Asks for landing days whose files are new or changed, once they are at rest."""
    if backfilling(context.instance, LANDING):  # which may be about to read them
        return SkipReason("a backfill is reading days just now")
    from exit_pipeline.ingest.arrivals import arrivals
    from exit_pipeline.lake.table import days_between, ranges_of

    landed = arrivals(PIPELINE.profile, PIPELINE.home)
    known: dict[str, str] = json.loads(context.cursor or "{}")
    rest = time.time() - PIPELINE.profile.spec.monitoring.settle_seconds
    changed = [
        day
        for day, files in landed.items()
        if known.get(str(day)) != files.fingerprint
        and files.came <= rest
        and daily.has_partition_key(str(day))
    ][:DAYS_A_TICK]
    asked = [
        day
        for day in changed
        # A home whose days were read before the sensor looked at it first.
        if str(day) in known or _unread(context.instance, day, landed[day])
    ]
    known |= {str(day): landed[day].fingerprint for day in changed}
    requests = [
        RunRequest(
            run_key=_key(context.instance, {d: landed[d] for d in days_between(first, last)}),
            tags=range_tags(first, last),
        )
        for first, last in ranges_of(asked)
    ]
    reason = None if requests else "no day has landed anew, or what has is still being written"
    return SensorResult(requests, skip_reason=reason, cursor=json.dumps(known))


@sensor(job=late_data, minimum_interval_seconds=EVERY, default_status=DefaultSensorStatus.RUNNING)
def late_data_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Asks for what days that landed late or again re-opened, further back than conditions follow.

    Content decides: a day that was read again and came out the same re-opens nothing. Of a day that
    a blocking check refused nothing is asked; it comes up again once it was mended. So do, an hour
    later, the days of a run that failed.
    """
    if reading(context.instance):
        return SkipReason("days are being read just now")
    from exit_pipeline.validation.verdicts import refused_days

    lake = PIPELINE.lake("late-data sensor")
    known: dict[str, str] = json.loads(context.cursor or "{}")
    failed, days_of_it = _failed(context.instance)
    known |= {day: "not built" for day in known if day in days_of_it}
    stored = {day: state.hash for day, state in lake.days("events").items()}
    changed = [d for d, content in sorted(stored.items()) if known.get(str(d)) != content]
    changed = changed[:DAYS_A_TICK]
    touched = {day: _touched(lake, day, again=str(day) in known) for day in changed}
    refused = refused_days(lake, "events", changed)
    late = [
        day
        for day in changed
        if day not in refused and _left_behind(context.instance, lake, day, touched[day])
    ]
    cursor = json.dumps(known | {str(day): stored[day] for day in changed})
    if not late:
        return SensorResult(skip_reason="nothing older was re-opened", cursor=cursor)
    days = {"first": late[0], "last": late[-1], "touched": min(touched[day] for day in late)}
    config = {key: str(day) for key, day in days.items()}
    request = RunRequest(
        run_key=_key(context.instance, {day: (stored[day], failed) for day in late}),
        run_config={"ops": {"follow": {"config": config}}},
    )
    return SensorResult([request], cursor=cursor)


def _failed(instance: DagsterInstance) -> tuple[str, set[str]]:
    """The newest run for late days and the days it was for, where it failed a while ago."""
    found = instance.get_run_records(RunsFilter(job_name=late_data.name), limit=1)
    if not found or found[0].dagster_run.status is not DagsterRunStatus.FAILURE:
        return "", set()
    if time.time() - found[0].update_timestamp.timestamp() < PAUSE:
        return "", set()
    from exit_pipeline.lake.table import days_between

    config: Any = found[0].dagster_run.run_config
    asked = config["ops"]["follow"]["config"]
    first, last = (date.fromisoformat(asked[name]) for name in ("first", "last"))
    return found[0].dagster_run.run_id, {str(day) for day in days_between(first, last)}


def ranges_of_unread(instance: DagsterInstance, before: date) -> list[tuple[date, date]]:
    """Days of the log that landed and were not read since, as ranges; none while days are read."""
    from exit_pipeline.ingest.arrivals import arrivals
    from exit_pipeline.lake.table import ranges_of

    if reading(instance):
        return []
    landed = arrivals(PIPELINE.profile, PIPELINE.home)
    days = [day for day in landed if day < before and daily.has_partition_key(str(day))]
    return ranges_of([day for day in days if _unread(instance, day, landed[day])][:DAYS_A_TICK])


def _unread(instance: DagsterInstance, day: date, files: "Arrival") -> bool:
    return recorded(instance, "events", day) <= files.came


def _touched(lake: "Lake", day: date, *, again: bool) -> date:
    from exit_pipeline.labels import oldest_event
    from exit_pipeline.labels.late import first_touched

    lateness_days = PIPELINE.profile.spec.landing.lateness_days
    return first_touched(day, oldest_event(lake, day, day), lateness_days, again=again)


def _left_behind(instance: DagsterInstance, lake: "Lake", day: date, touched: date) -> bool:
    """Whether labels that a landing day moves are older than it, and no condition follows them."""
    from exit_pipeline.labels import last_mature, oldest_event
    from exit_pipeline.labels.late import first_left_behind

    spec, landed = PIPELINE.profile.spec, lake.days("events")
    followed = mature.get_last_partition_key()
    if followed is None:
        return False
    moved = first_left_behind(
        day, touched,
        horizon_days=spec.labels.horizon_days,
        # No label is of a day before the first event.
        start=max(spec.start, oldest_event(lake, min(landed), max(landed))),
        newest=last_mature(lake, spec),
        settling=date.fromisoformat(followed) - timedelta(days=SETTLING_DAYS - 1),
    )  # fmt: skip
    if moved is None:
        return False
    return recorded(instance, "training_set", moved) <= recorded(instance, "events", day)


def _key(instance: DagsterInstance, contents: Mapping[date, object]) -> str:
    """A key by content and, since what was there once may come again, by when it was last read."""
    parts = [(day, told, recorded(instance, "events", day)) for day, told in contents.items()]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


SENSORS = [landing_sensor, late_data_sensor]
