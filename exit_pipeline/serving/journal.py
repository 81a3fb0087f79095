"""What was pushed and has not landed yet: JSON lines by day, on disk before the answer."""

from __future__ import annotations

import logging
import os
import shutil
import time
from datetime import date
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.json as pj

from exit_pipeline.files import to_disk

log = logging.getLogger(__name__)


class Journal:
    """Files `ds=DAY/…jsonl` below a folder; each process writes its own.

    Args:
        folder: Where they lie.
        schema: Columns of a row, with `ts`.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self.broken = 0  # lines that the last reading left out
        self._name = _name()

    def append(self, rows: pa.Table) -> None:
        """Writes rows to the files of their days; returns when the disk has them.

        Raises:
            OSError: The disk did not take them; no line of the day that failed stays.
        """
        lines: dict[date, list[bytes]] = {}
        for row in rows.to_pylist():
            line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            lines.setdefault(row["ts"].date(), []).append(line)
        for day, some in lines.items():
            self._add(self.folder / f"ds={day}" / self._name, b"".join(some))

    def read(self) -> pa.Table:
        """Returns every row.

        What a dying process left half written was never answered. Other lines that cannot be read
        are left out, and told: one of them must not keep all others from being seen.
        """
        self.broken = 0
        parts = [self._whole_lines(file) for file in sorted(self.folder.glob("ds=*/*.jsonl"))]
        return pa.concat_tables([self.schema.empty_table(), *parts])

    def forget(self, days: set[date]) -> None:
        """Removes the files of some days."""
        for day in days:
            shutil.rmtree(self.folder / f"ds={day}", ignore_errors=True)

    def _add(self, file: Path, lines: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        size = file.stat().st_size if file.exists() else 0
        try:
            with file.open("ab") as out:
                out.write(lines)
            for part in (file,) if size else (file, file.parent, self.folder):
                to_disk(part)
        except BaseException:
            try:
                os.truncate(file, size)
            except OSError:
                self._name = _name()  # nothing may follow half a line
            raise

    def _whole_lines(self, file: Path) -> pa.Table:
        whole, end, _ = file.read_bytes().rpartition(b"\n")
        rows, broken = self._rows(whole + end)
        if broken:
            told = {"file": str(file), "lines": broken}
            log.error("lines of the journal cannot be read", extra=told)
        self.broken += broken
        return rows

    def _rows(self, text: bytes) -> tuple[pa.Table, int]:
        """Rows of some lines, and how many lines cannot be read, which halving finds."""
        options = pj.ParseOptions(explicit_schema=self.schema, unexpected_field_behavior="ignore")
        try:
            if text:
                found = pj.read_json(pa.BufferReader(text), parse_options=options)
                return found.select(self.schema.names), 0
        except pa.ArrowInvalid:
            lines = text.splitlines(keepends=True)
            if len(lines) > 1:
                halves = lines[: len(lines) // 2], lines[len(lines) // 2 :]
                (some, m), (others, n) = (self._rows(b"".join(half)) for half in halves)
                return pa.concat_tables([some, others]), m + n
        return self.schema.empty_table(), int(bool(text))


def _name() -> str:
    return f"{time.time_ns():x}-{os.getpid()}.jsonl"
