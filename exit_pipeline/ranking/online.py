"""Brings features online: Feast's materialization of the days that changed since the last one."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from feast import FeatureStore

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.online import rebuilding
from exit_pipeline.feast_stores.repo import apply, online_identity, writing_registry
from exit_pipeline.files import write_text
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import Profile
from exit_pipeline.profile.labels import FeatureSpec
from exit_pipeline.settings import Settings
from exit_pipeline.validation.suites import BLOCKING
from exit_pipeline.validation.verdicts import refuse_failed

VIEWS = ("user_features", "item_features", "scene_features", "user_interest")


def materialize_online(settings: Settings, lake: Lake, profile: Profile) -> dict[str, Any]:
    """Writes to the online store what became known, or became something else, since the last time.

    Of each view the content hash of every day that is online is kept, and in which store; the days
    from the earliest one that changed on are written, all where the store is another one. A service
    reads features anew when these hashes change: they are published at once when all views are
    online. A run that dies leaves those of the views it finished beside them, and the next one goes
    on from there.

    Returns:
        By view the newest event time that is online, and the rows that were looked at.

    Raises:
        LakeError: A feature table is missing.
        ValidationError: A day that would be read online failed its checks.
    """
    missing = [view for view in VIEWS if not lake.exists(view)]
    if missing:
        raise LakeError(f"{', '.join(missing)} not built yet", mend="run the features group first")
    spec, report = profile.spec.features, {}
    _refuse_failed(lake, spec)
    told = lake.home.online_days
    done, held = (told.with_name(f"online_days_{part}.json") for part in ("done", "store"))
    same = held.exists() and held.read_text("utf-8") == online_identity(settings, lake.home)
    online = _known(done, told) if same else {}
    told.parent.mkdir(parents=True, exist_ok=True)
    write_text(done, json.dumps(online))  # before a store that was lost is there again, and empty
    store = apply(settings, lake.home, profile)
    write_text(held, str(online_identity(settings, lake.home)))
    for view in VIEWS:
        now = {day.isoformat(): state.hash for day, state in lake.days(view).items()}
        report[view] = _bring(settings, lake, store, view, online.get(view, {}), now, spec)
        online[view] = now
        write_text(done, json.dumps(online))
    os.replace(done, told)
    return report


def _refuse_failed(lake: Lake, spec: FeatureSpec) -> None:
    """Refuses days, no older than the TTL, that a check refused and nobody mended."""
    newest = max(day for view in VIEWS for day in lake.days(view))
    checks = [(table, check) for table, check in BLOCKING if table in VIEWS]
    refuse_failed(lake, checks, newest - timedelta(days=spec.ttl_days), newest)


def _known(*files: Path) -> dict[str, dict[str, str]]:
    """What the first of some files that is there says of each view."""
    found = next((file for file in files if file.exists()), None)
    return json.loads(found.read_text("utf-8")) if found else {}


def _bring(
    settings: Settings,
    lake: Lake,
    store: FeatureStore,
    view: str,
    before: dict[str, str],
    now: dict[str, str],
    spec: FeatureSpec,
) -> dict[str, Any]:
    """Writes one view's rows from the earliest changed day on."""
    changed = [day for day in before | now if before.get(day) != now.get(day)]
    first = date.fromisoformat(min(changed)) if changed else date.max
    since = datetime.combine(first, time(), UTC)
    with connect(settings, lake.home) as connection:
        lake.view(connection, view)
        rows, newest = connection.execute(
            render("online_news", table=view), {"since": since}
        ).fetchone()  # type: ignore[misc]
    if changed and newest is not None:
        rebuilt = not before.keys().isdisjoint(changed)
        # What a rebuilt day no longer says must go: a row before it may hold again.
        start = since - timedelta(days=spec.ttl_days) if rebuilt else since
        letting_go = _rebuilding(since, max(before | now), spec) if rebuilt else nullcontext()
        bars = redirect_stdout(StringIO()), redirect_stderr(StringIO())  # Feast draws them
        with writing_registry(lake.home), letting_go, bars[0], bars[1]:
            store.materialize(start, newest, feature_views=[view])
    return {"rows": rows, "newest": newest and newest.astimezone(UTC).isoformat()}


def _rebuilding(since: datetime, last: str, spec: FeatureSpec) -> AbstractContextManager[None]:
    """Lets go of what is online of the days from `since` to `last`; a push after them stays."""
    end = datetime.combine(date.fromisoformat(last), time(), UTC) + timedelta(days=1)
    lag = timedelta(minutes=spec.availability_lag_minutes)
    return rebuilding(since, end + lag)
