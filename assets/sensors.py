"""What looks at the landing place and at the tables, and asks for runs."""

import hashlib
import json
import time
from datetime import date

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.jobs import daily_ingest
from assets.partitions import daily, range_tags
from assets.resources import PIPELINE

# A tick looks at so many changed days at most, the oldest first; the others wait for the next one.
DAYS_A_TICK = 31


@sensor(job=daily_ingest, minimum_interval_seconds=30, default_status=DefaultSensorStatus.RUNNING)
def landing_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Asks for landing days whose files are new or changed, once they are at rest."""
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
        if str(day) in known or not _recorded(context.instance, "events", day, landed[day].changed)
    ]
    known |= {str(day): landed[day].fingerprint for day in changed}
    requests = [
        RunRequest(
            run_key=_key(*((d, landed[d]) for d in days_between(first, last))),
            tags=range_tags(first, last),
        )
        for first, last in ranges_of(asked)
    ]
    reason = None if requests else "no day has landed anew, or what has is still being written"
    return SensorResult(requests, skip_reason=reason, cursor=json.dumps(known))


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _recorded(instance: DagsterInstance, table: str, day: date, since: float) -> bool:
    """Whether a day of a table was materialized after a moment, in seconds since the epoch."""
    seen = AssetRecordsFilter(
        AssetKey(table), asset_partitions=[day.isoformat()], after_timestamp=since
    )
    return bool(instance.fetch_materializations(seen, limit=1).records)


SENSORS = [landing_sensor]
