"""What looks at the landing place and at the tables, and asks for runs."""

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.busy import LANDING, backfilling, reading
from assets.jobs import daily_ingest, late_data, recorded
from assets.partitions import SETTLING_DAYS, daily, mature, range_tags
from assets.resources import EVERY, PIPELINE
from exit_pipeline.validation import BLOCKING

if TYPE_CHECKING:
    from exit_pipeline.ingest.arrivals import Arrival
    from exit_pipeline.lake import Lake

# A tick looks at so many changed days at most, the oldest first; the others wait for the next one.
DAYS_A_TICK = 31


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
        and files.changed <= rest
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
    a blocking check refused nothing is asked; it comes up again once it was mended.
    """
    if reading(context.instance):
        return SkipReason("days are being read just now")
    lake = PIPELINE.lake("late-data sensor")
    known: dict[str, str] = json.loads(context.cursor or "{}")
    stored = {day: state.hash for day, state in lake.days("events").items()}
    changed = [d for d, content in sorted(stored.items()) if known.get(str(d)) != content]
    changed = changed[:DAYS_A_TICK]
    touched = {day: _touched(lake, day, again=str(day) in known) for day in changed}
    refused = _refused(lake, changed)
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
        run_key=_key(context.instance, {day: stored[day] for day in late}),
        run_config={"ops": {"follow": {"config": config}}},
    )
    return SensorResult([request], cursor=cursor)


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
    return recorded(instance, "events", day) <= files.changed


def _touched(lake: "Lake", day: date, *, again: bool) -> date:
    """The first day whose events a landing day changed; read again, it may have lost rows, too."""
    from exit_pipeline.labels import oldest_event

    reach = timedelta(days=PIPELINE.profile.spec.landing.lateness_days if again else 0)
    return min(day - reach, oldest_event(lake, day, day))


def _refused(lake: "Lake", days: list[date]) -> set[date]:
    """The landing days, of some that rise, whose content a blocking check refused."""
    from exit_pipeline.validation.verdicts import failed_days

    checks = [check for table, check in BLOCKING if table == "events"] if days else []
    return {day for one in checks for day in failed_days(lake, "events", one, days[0], days[-1])}


def _left_behind(instance: DagsterInstance, lake: "Lake", day: date, touched: date) -> bool:
    """Whether labels that a landing day moves are older than it, and no condition follows them."""
    from exit_pipeline.labels import last_mature, oldest_event

    spec, landed = PIPELINE.profile.spec, lake.days("events")
    # No label is of a day before the first event.
    oldest = oldest_event(lake, min(landed), max(landed))
    moved = max(touched - timedelta(days=spec.labels.horizon_days), spec.start, oldest)
    newest, followed = last_mature(lake, spec), mature.get_last_partition_key()
    if newest is None or moved > newest or followed is None:
        return False
    # Conditions see a landing day as the next day's outcomes, not as rows of days before; and they
    # look at the newest days alone.
    seen = day - timedelta(days=spec.labels.horizon_days)
    settling = date.fromisoformat(followed) - timedelta(days=SETTLING_DAYS - 1)
    if moved >= max(seen, settling):
        return False
    return recorded(instance, "training_set", moved) <= recorded(instance, "events", day)


def _key(instance: DagsterInstance, contents: Mapping[date, object]) -> str:
    """A key by content and, since what was there once may come again, by when it was last read."""
    parts = [(day, told, recorded(instance, "events", day)) for day, told in contents.items()]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


SENSORS = [landing_sensor, late_data_sensor]
