"""The user's half of a request, out of Feast's online store, whatever state that store is in."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from exit_pipeline.feast_stores.repo import open_store
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.rows import UserReader, UserRow
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.settings import Home, Settings

LOOK_SECONDS = 10.0
UNREACHABLE = "online store unreachable: defaults are used"
log = logging.getLogger(__name__)


class Users:
    """Reads users; a store that fails or hangs costs the requests of that moment their wait alone.

    From then on nobody asks it, until a look from beside finds that it answers in time again. A
    file of this machine is read in the event loop, by no clock.

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

    async def read(self, user_id: str, at: datetime) -> UserRow:
        """Returns what is known of a user at a time; the defaults, and a flag, if none can say."""
        if self._reader is None or not self.reachable:
            return UserRow.unknown(self.spec, user_id, UNREACHABLE)
        try:
            if self._reader.local:
                return self._reader(user_id, at)  # a change of threads would take longer
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(self.settings.serve_store_timeout):
                return await loop.run_in_executor(self._threads, self._reader, user_id, at)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # It waited for a thread of before the last look, which opened the store anew.
        except Exception as error:  # noqa: BLE001 — a store may raise anything
            self._failed(error)
        return UserRow.unknown(self.spec, user_id, UNREACHABLE)

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
        for threads in (self._threads, self._looking):
            threads.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> tuple[UserReader, float]:
        """A reader, and how long the store takes to answer once it is open."""
        read, now = UserReader(open_store(self.settings, self.home), self.spec), datetime.now(UTC)
        read("nobody", now)
        started = time.perf_counter()
        read("nobody", now)
        return read, time.perf_counter() - started

    def _failed(self, error: Exception) -> None:
        self.metrics.store_failures.inc()
        self.metrics.store_up.set(0)
        if self.reachable or self._reader is None:
            log.error("online store unreachable", extra={"kind": type(error).__name__})
        self.reachable = False

    def _executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.settings.threads, "users")
