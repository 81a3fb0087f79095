"""What was pushed and has not landed yet: JSON lines by day, on disk before the answer."""

from __future__ import annotations

import os
import shutil
import time
from datetime import date
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.json as pj

from exit_pipeline.files import to_disk


class Journal:
    """Files `ds=DAY/…jsonl` below a folder; each process writes its own.

    Args:
        folder: Where they lie.
        schema: Columns of a row, with `ts`.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self._name = f"{time.time_ns():x}-{os.getpid()}.jsonl"

    def append(self, rows: pa.Table) -> None:
        """Writes rows to the files of their days; returns when the disk has them."""
        lines: dict[date, list[bytes]] = {}
        for row in rows.to_pylist():
            line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            lines.setdefault(row["ts"].date(), []).append(line)
        for day, some in lines.items():
            file = self.folder / f"ds={day}" / self._name
            begun = file.exists()
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as out:
                out.write(b"".join(some))
            for part in (file,) if begun else (file, file.parent, self.folder):
                to_disk(part)

    def read(self) -> pa.Table:
        """Returns every row; what a dying process left half written was never answered."""
        parts = [self._whole_lines(file) for file in sorted(self.folder.glob("ds=*/*.jsonl"))]
        return pa.concat_tables([self.schema.empty_table(), *parts])

    def forget(self, days: set[date]) -> None:
        """Removes the files of some days."""
        for day in days:
            shutil.rmtree(self.folder / f"ds={day}", ignore_errors=True)

    def _whole_lines(self, file: Path) -> pa.Table:
        whole, _, _ = file.read_bytes().rpartition(b"\n")
        if not whole:
            return self.schema.empty_table()
        options = pj.ParseOptions(explicit_schema=self.schema, unexpected_field_behavior="ignore")
        return pj.read_json(pa.BufferReader(whole), parse_options=options).select(self.schema.names)
