"""Rows written beside the path of an answer: Parquet files by day, each whole or not there."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.errors import LakeError
from exit_pipeline.files import put_to_disk
from exit_pipeline.privacy import Forgotten
from exit_pipeline.serving.metrics import Metrics

WAITING = 1_000  # rankings in a file at most, and as many wait; one more is dropped
SECONDS = 10.0  # from the first ranking of a file to its writing
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds until a file that was not written is tried again
Kind = TypeVar("Kind")
log = logging.getLogger(__name__)


class Parts(Generic[Kind]):
    """Files `ds=DAY/NAME-….parquet` below a folder; none is written to twice.

    A file reaches the disk before it has its name. What waits in memory, of `SECONDS` at most, is
    lost if the process is killed; a service that ends writes it. While the disk takes nothing, or
    someone is being forgotten, what is held is tried again and again, and what no longer fits into
    memory is dropped; a service that ends then tries each file once more.

    Args:
        folder: Where they lie.
        name: What their names begin with.
        rows: Makes rows of all that a file is to hold at once: one by one, in this thread, they
            would take the interpreter from those who answer for half a second.
        day: The day of one, in UTC.
        metrics: Where rows, and rankings that were dropped, are counted.
        forgotten: Whose rows are left out.
        most: Rows a day that one process keeps; None for all.
        days: Days whose files are kept; older ones are removed. None for all.
    """

    def __init__(
        self, folder: Path, name: str, rows: Callable[[list[Kind]], pa.Table],
        day: Callable[[Kind], date], metrics: Metrics, forgotten: Forgotten, *,
        most: int | None = None, days: int | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.name, self.rows, self.day = folder, name, rows, day
        self.metrics, self.forgotten, self.most, self.days = metrics, forgotten, most, days
        self._queue: Queue[Kind | None] = Queue(WAITING)
        self._stamp, self._files = f"{time.time_ns():x}-{os.getpid()}", 0
        self._kept: Counter[date] = Counter()
        self._ends = Event()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, one: Kind) -> None:
        """Leaves one to be written; returns at once."""
        try:
            self._queue.put_nowait(one)
        except Full:
            self.metrics.dropped.labels(self.name).inc()

    def close(self) -> None:
        """Writes what waits."""
        self._ends.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        going = True
        while going:
            held, going = self._gather()
            days: dict[date, list[Kind]] = {}
            for one in held:
                days.setdefault(self.day(one), []).append(one)
            for day, some in days.items():
                try:
                    self._write(day, self.rows(some))
                except Exception:  # nothing must end the log
                    log.exception("log not written", extra={"log": self.name})
                    self.metrics.dropped.labels(self.name).inc(len(some))

    def _gather(self) -> tuple[list[Kind], bool]:
        """Waits for what the next file is to hold; says whether more may come."""
        held: list[Kind] = []
        until = float("inf")
        while len(held) < WAITING:
            try:
                wait = None if until == float("inf") else max(0.0, until - time.monotonic())
                one = self._queue.get(timeout=wait)
            except Empty:
                break
            if one is None:
                return held, False
            held.append(one)
            until = min(until, time.monotonic() + SECONDS)
        return held, True

    def _write(self, day: date, rows: pa.Table) -> None:
        """Writes rows of a day; until that succeeds, if it may, or the service ends."""
        wait = FIRST_WAIT
        while True:
            last = self._ends.is_set()
            try:
                with self.forgotten.letting_in():
                    return self._part(day, self.forgotten.without(rows))
            except (OSError, LakeError) as error:
                if last:
                    raise
                told = {"log": self.name, "why": str(error), "seconds": wait}
                log.warning("log not written yet", extra=told)
            self._ends.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _part(self, day: date, rows: pa.Table) -> None:
        if self.most is not None:
            rows = rows.slice(0, self.most - self._kept[day])
        if not rows.num_rows:
            return
        folder = self.folder / f"ds={day}"
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for old in sorted(self.folder.glob("ds=*"))[: -self.days] if self.days else ():
                shutil.rmtree(old)
        # The same name when it is tried again: what the first try left is replaced.
        file = folder / f"{self.name}-{self._stamp}-{self._files + 1:06d}.parquet"
        partial = file.with_suffix(".partial")
        try:
            pq.write_table(rows, partial)
            put_to_disk(partial, file)
        finally:
            partial.unlink(missing_ok=True)
        self._files += 1
        self._kept[day] += rows.num_rows
        self.metrics.kept.labels(self.name).inc(rows.num_rows)
