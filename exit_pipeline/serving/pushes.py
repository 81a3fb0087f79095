"""Events pushed to the service become states of interest online, when training would see them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from exit_pipeline.errors import ExitPipelineError, LakeError
from exit_pipeline.feast_stores.repo import online_identity, open_store
from exit_pipeline.features.history import InterestHistory
from exit_pipeline.lake import Lake
from exit_pipeline.privacy import Forgotten
from exit_pipeline.profile import Profile
from exit_pipeline.serving.events import Reason, Refused, event_schema, event_table
from exit_pipeline.serving.journal import Journal
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.settings import Settings

if TYPE_CHECKING:
    from feast import FeatureStore

SOURCE = "user_interest_push"
MOST_KEPT = 1_000_000  # events that have not landed yet, by whose ids repeats are known
TICK_SECONDS = 0.2
log = logging.getLogger(__name__)


class Pushes:
    """Takes events in, and brings online what is due; everything on one thread.

    Training sees an event the profile's availability lag after its `ts`. So an event waits here
    until then; what is online is at most a tick behind.

    Args:
        settings: Threads and memory.
        lake: What landed; its home has the journal and the online store.
        profile: The data set.
        metrics: Where events are counted.
    """

    def __init__(self, settings: Settings, lake: Lake, profile: Profile, metrics: Metrics) -> None:
        self.settings, self.lake, self.profile, self.metrics = settings, lake, profile, metrics
        self.lag = timedelta(minutes=profile.spec.features.availability_lag_minutes)
        self.journal = Journal(lake.home.pushed, event_schema(profile.spec))
        self.forgotten, self._list = Forgotten(lake.home), 0
        self.threads = ThreadPoolExecutor(1, "push")
        self._history: InterestHistory | None = None
        self._known: set[str] = set()
        self._store: FeatureStore | None = None
        self._identity: str | None = None  # of the store that is written
        self._failing = False

    async def push(self, events: list[Any], at: datetime) -> dict[str, Any]:
        """Answers `POST /v1/events`, once the disk has what was accepted.

        Raises:
            LakeError: Nothing has landed yet.
        """
        return await self._run(self.take, events, at)

    async def watch(self, now: Callable[[], datetime | None]) -> None:
        """Brings online what is due, every tick; what an earlier process took in as well."""
        while True:
            at = now()
            if at is not None and (self._history or any(self.lake.home.pushed.glob("ds=*"))):
                try:
                    await self._run(self.bring, at)
                    self._failing = False
                except Exception as error:  # noqa: BLE001 — a store may raise anything
                    self._failed(error)
            await asyncio.sleep(TICK_SECONDS)

    def take(self, events: list[Any], at: datetime) -> dict[str, Any]:
        """Takes in what is new of some events; of people who were forgotten there is nothing new.

        Raises:
            LakeError: Nothing has landed yet, or someone is being forgotten.
        """
        with self.forgotten.letting_in():
            return self._take(events, at)

    def bring(self, at: datetime) -> int:
        """Pushes the states that are due by now into Feast's online store; returns how many."""
        with self.forgotten.letting_in():
            store, history = self._online(), self._ready(at)
            rows = history.due(at)
            if rows.num_rows:
                store.push(SOURCE, rows.to_pandas(types_mapper=pd.ArrowDtype))
                history.seen(at)
            return rows.num_rows

    def close(self) -> None:
        """Lets go of the thread."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _take(self, events: list[Any], at: datetime) -> dict[str, Any]:
        history, today = self._ready(at), self._today(at)
        new, repeated, refused = [], 0, []
        for index, event in enumerate(events):
            reason = self._reason(event, at, today)
            if event.event_id in self._known:
                repeated += 1
            elif reason:
                refused.append(Refused(index=index, event_id=event.event_id, reason=reason))
            else:
                self._known.add(event.event_id)
                new.append(event)
        if new:
            rows = event_table(self.profile.spec, new)
            try:
                self.journal.append(rows)
                history.add(rows, today)
            except BaseException:
                self._history = None  # the journal says what was taken in
                raise
        for outcome, count in (("accepted", len(new)), ("repeated", repeated)):
            self.metrics.events.labels(outcome).inc(count)
        for one in refused:
            self.metrics.events.labels(one.reason).inc()
        return {
            "accepted": len(new), "repeated": repeated,
            "refused": [one.model_dump() for one in refused],
            "lag_seconds": self.lag.total_seconds(),
        }  # fmt: skip

    def _ready(self, at: datetime) -> InterestHistory:
        """The history, up to date with the lake; the first time with the journal."""
        today, form = self._today(at), self.journal.schema
        if self.forgotten.stand() != self._list:
            self._history, self._list = None, self.forgotten.stand()
        if self._history is None:
            history = InterestHistory(self.settings, self.lake, self.profile.spec, form, today)
            if (before := self._unlanded(today)).num_rows:
                history.add(before, today)
            self._history, self._known = history, history.event_ids()
        elif self._history.refresh(today):
            self._known = self._history.event_ids()
            self._unlanded(today)
        return self._history

    def _online(self) -> FeatureStore:
        """The online store; one that was filled anew lacks what this process brought before."""
        found = online_identity(self.settings, self.lake.home)
        if found is None:
            folder = str(self.lake.home.feast)
            raise LakeError("the online store is gone", where=folder, mend="run online_store")
        if self._store is None or found != self._identity:
            if self._identity is not None:
                self._history = None
            self._store, self._identity = open_store(self.settings, self.lake.home), found
        return self._store

    def _unlanded(self, today: date) -> pa.Table:
        """What the journal holds; days that have ended and landed are removed from it."""
        self.journal.forget({day for day in self.lake.days("events") if day < today})
        rows = self.journal.read()
        self.metrics.broken_lines.set(self.journal.broken)
        return self.forgotten.without(rows)

    def _today(self, at: datetime) -> date:
        """A day takes events until its snapshot of features is due: a lag after it ended."""
        return (at - self.lag).date()

    def _reason(self, event: Any, at: datetime, today: date) -> Reason | None:
        if event.user_id in self.forgotten:
            return "forgotten"
        if event.ts > at:
            return "future"
        if event.ts < datetime(today.year, today.month, today.day, tzinfo=at.tzinfo):
            return "late"
        return "full" if len(self._known) >= MOST_KEPT else None

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    def _failed(self, error: Exception) -> None:
        self._store = None
        self.metrics.push_failures.inc()
        if not self._failing:
            why = error.what if isinstance(error, ExitPipelineError) else type(error).__name__
            log.error("interest not brought online", extra={"why": why})
        self._failing = True
