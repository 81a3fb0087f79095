"""The user's half of a request, out of Feast's online store, whatever state that store is in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from exit_pipeline.feast_stores.repo import open_store
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.rows import UserReader, UserRow
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.settings import Home, Settings

LOOK_SECONDS = 10.0
UNREACHABLE = "online store unreachable: defaults are used"
log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass
class _Reading:
    """One user's, in a thread; who waits for it may have given it up by the time it is done."""

    read: UserReader
    user_id: str
    at: datetime
    since: float | None = None
    done: bool = False
    given_up: bool = False

    def then(self, work: Callable[[UserRow], Result]) -> Result:
        """Reads, and works if that came in time."""
        self.since = time.monotonic()
        row = self.read(self.user_id, self.at)
        self.done = True
        if self.given_up:
            raise TimeoutError
        return work(row)


class Users:
    """Reads users; a store that fails or hangs costs the requests of that moment their wait alone.

    From then on nobody asks it, until a look from beside finds that it answers in time again.

    Args:
        settings: Threads, timeout and time to the next look.
        home: The profile's.
        spec: The profile.
        metrics: Where failures are counted.
    """

    def __init__(self, settings: Settings, home: Home, spec: ProfileSpec, metrics: Metrics) -> None:
        self.settings, self.home, self.spec, self.metrics = settings, home, spec, metrics
        self.reachable = False
        self._reader: UserReader | None = None
        self._threads, self._looking = self._executor(), ThreadPoolExecutor(1, "look")
        self._storeless = self._executor()

    async def read_then(
        self, user_id: str, at: datetime, work: Callable[[UserRow], Result]
    ) -> Result:
        """Reads a user, then does with what was found what is to be done, in one thread.

        Args:
            user_id: Who.
            at: The request's time.
            work: Is given the defaults, and a flag, if no store can say.
        """
        loop = asyncio.get_running_loop()
        if self._reader is not None and self.reachable:
            reading = _Reading(self._reader, user_id, at)
            job = loop.run_in_executor(self._threads, reading.then, work)
            if await self._in_time(reading, job):
                return await job
            reading.given_up = True
            self._failed((job.done() and job.exception()) or TimeoutError())
            job.cancel()
        unknown = UserRow.unknown(self.spec, user_id, UNREACHABLE)
        return await loop.run_in_executor(self._storeless, work, unknown)

    async def _in_time(self, reading: _Reading, job: asyncio.Future) -> bool:
        """Waits for a user: not for longer than allowed from when a thread began to read."""
        while not (job.done() or reading.done):
            since, most = reading.since, self.settings.serve_store_timeout
            left = most if since is None else since + most - time.monotonic()
            if left <= 0 or (since is None and not self.reachable):
                return False
            await asyncio.wait((job,), timeout=left)
        return reading.done

    async def look(self) -> None:
        """Opens the store anew, and asks it again if it answers in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                reader, seconds = await loop.run_in_executor(self._looking, self._open)
            if seconds > self.settings.serve_store_timeout:
                raise TimeoutError
        except Exception as error:  # noqa: BLE001 — a store may raise anything
            self._failed(error)
            return
        self._threads.shutdown(wait=False, cancel_futures=True)  # some may hang yet
        self._reader, self._threads, self.reachable = reader, self._executor(), True
        self.metrics.store_up.set(1)
        log.info("online store reachable")

    async def watch(self) -> None:
        """Looks, while the store is down, every `serve_store_retry` seconds."""
        while True:
            await asyncio.sleep(self.settings.serve_store_retry)
            if not self.reachable:
                await self.look()

    def close(self) -> None:
        """Lets go of the threads; one that hangs in the store is not waited for."""
        for threads in (self._threads, self._looking, self._storeless):
            threads.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> tuple[UserReader, float]:
        """A reader, and how long the store takes to answer once it is open."""
        read, now = UserReader(open_store(self.settings, self.home), self.spec), datetime.now(UTC)
        read("nobody", now)
        started = time.perf_counter()
        read("nobody", now)
        return read, time.perf_counter() - started

    def _failed(self, error: BaseException) -> None:
        self.metrics.store_failures.inc()
        self.metrics.store_up.set(0)
        if self.reachable or self._reader is None:
            log.error("online store unreachable", extra={"kind": type(error).__name__})
        self.reachable = False

    def _executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.settings.threads, "rank")
