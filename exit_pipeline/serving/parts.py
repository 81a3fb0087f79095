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
from threading import Thread
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exit_pipeline.files import put_to_disk
from exit_pipeline.privacy import Forgotten
from exit_pipeline.serving.metrics import Metrics

WAITING = 1_000  # rankings in a file at most, and as many wait; one more is dropped
SECONDS = 10.0  # from the first ranking of a file to its writing
Kind = TypeVar("Kind")
log = logging.getLogger(__name__)


class Parts(Generic[Kind]):
    """Files `ds=DAY/NAME-….parquet` below a folder; none is written to twice.

    A file reaches the disk before it has its name. What waits in memory, of `SECONDS` at most, is
    lost if the process is killed; a service that ends writes it.

    Args:
        folder: Where they lie.
        name: What their names begin with.
        rows: Makes rows, with the time `ts`, of all that a file is to hold at once: one by one, in
            this thread, they would take the interpreter from those who answer for half a second.
        metrics: Where rows, and rankings that were dropped, are counted.
        forgotten: Whose rows are left out.
        most: Rows a day that one process keeps; None for all.
        days: Days whose files are kept; older ones are removed. None for all.
    """

    def __init__(
        self, folder: Path, name: str, rows: Callable[[list[Kind]], pa.Table], metrics: Metrics,
        forgotten: Forgotten, *, most: int | None = None, days: int | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.name, self.rows, self.metrics, self.forgotten, self.most, self.days = (
            folder, name, rows, metrics, forgotten, most, days)  # fmt: skip
        self._queue: Queue[Kind | None] = Queue(WAITING)
        self._stamp, self._files = f"{time.time_ns():x}-{os.getpid()}", 0
        self._kept: Counter[date] = Counter()
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
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        going = True
        while going:
            held, going = self._gather()
            if held:
                try:
                    with self.forgotten.letting_in():
                        self._write(self.forgotten.without(self.rows(held)))
                except Exception:  # a full disk must not end the log
                    log.exception("log not written", extra={"log": self.name})
                    self.metrics.dropped.labels(self.name).inc(len(held))

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

    def _write(self, rows: pa.Table) -> None:
        days = pc.cast(rows["ts"], pa.date32())
        for day in pc.unique(days).to_pylist():
            some = rows.filter(pc.equal(days, day))
            if self.most is not None:
                some = some.slice(0, self.most - self._kept[day])
                self._kept[day] += some.num_rows
            if some.num_rows:
                self._part(day, some)

    def _part(self, day: date, rows: pa.Table) -> None:
        self._files += 1
        folder = self.folder / f"ds={day}"
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for old in sorted(self.folder.glob("ds=*"))[: -self.days] if self.days else ():
                shutil.rmtree(old)
        file = folder / f"{self.name}-{self._stamp}-{self._files:06d}.parquet"
        partial = file.with_suffix(".partial")
        pq.write_table(rows, partial)
        put_to_disk(partial, file)
        self.metrics.kept.labels(self.name).inc(rows.num_rows)
