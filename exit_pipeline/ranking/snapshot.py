"""The item side of a ranking in process: what is online of items and groups, in one file each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from exit_pipeline.errors import LakeError
from exit_pipeline.features.inputs import view_columns
from exit_pipeline.files import write_text
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.rows import User, cell_of, flags_of, scorer_rows
from exit_pipeline.settings import Home, Settings

KEYS = {"item_features": ["item_id"], "scene_features": ["unit", "cell"]}
CURRENT = "snapshot.json"
KEPT = 2  # one that is being read may be the one before


@dataclass(frozen=True)
class Candidates:
    """Items of one request, found in a snapshot.

    Args:
        items: n ids.
        rows: int64[n] of the snapshot; its number of items where nothing is known of one.
        units: Their interest units.
        unknown: How many are not in the snapshot.
        old: How many have features older than the TTL, which count for nothing.
    """

    items: Sequence[str]
    rows: np.ndarray
    units: list[str | None]
    unknown: int = 0
    old: int = 0


class Snapshot:
    """What Feast has online of items and groups, in memory; equal to what `online_rows` reads.

    Args:
        version: What it was made from.
        spec: The profile.
        items: A row per item: `item_id`, the columns of `item_features`, `event_us`.
        groups: A row per unit and cell: `unit`, `cell`, those of `scene_features`, `event_us`.
    """

    def __init__(self, version: str, spec: ProfileSpec, items: pa.Table, groups: pa.Table) -> None:
        self.version, self.spec, self.items, self.groups = version, spec, items, groups
        ids = items["item_id"].to_pylist()
        self._row = {item: row for row, item in enumerate(ids)}
        by_id = spec.interest_unit == "item_id"
        self._unit = None if by_id else [*items[spec.interest_unit].to_pylist(), None]
        self._group: dict[str, dict[str, int]] = {}
        pairs = zip(groups["cell"].to_pylist(), groups["unit"].to_pylist(), strict=True)
        for row, (cell, unit) in enumerate(pairs):
            self._group.setdefault(cell, {})[unit] = row
        self._item_us, self._group_us = (t["event_us"].to_numpy() for t in (items, groups))
        self._oldest = min(self._item_us.min(initial=2**62), self._group_us.min(initial=2**62))

    @classmethod
    def load(cls, home: Home, spec: ProfileSpec) -> Snapshot:
        """Reads the snapshot that is current; the files' hashes are checked.

        Raises:
            LakeError: There is none, or a file was changed.
        """
        try:
            told = json.loads((home.feast / CURRENT).read_text("utf-8"))
            folder = home.feast / "snapshots" / told["version"]
            files = {view: (folder / f"{view}.arrow").read_bytes() for view in KEYS}
        except (OSError, ValueError, KeyError) as error:
            raise LakeError(
                f"the snapshot of items cannot be read: {error}", where=str(home.feast / CURRENT),
                mend="bring features online: `run --select online_store`",
            ) from error  # fmt: skip
        for view, content in files.items():
            if hashlib.sha256(content).hexdigest() != told["sha256"][view]:
                raise LakeError(
                    "a snapshot's file is not the one that was written: its hash differs",
                    where=str(folder / f"{view}.arrow"),
                    mend="remove it and bring features online again",
                )
        tables = [pa.ipc.open_file(pa.py_buffer(one)).read_all() for one in files.values()]
        return cls(told["version"], spec, *tables)

    @property
    def ids(self) -> list[str]:
        """The catalogue, by id."""
        return list(self._row)

    def candidates(self, items: Sequence[str], at: datetime) -> Candidates:
        """Finds items; what is older than the TTL at the request's time counts for nothing."""
        none = len(self._item_us)
        found = [self._row.get(item, none) for item in items]
        rows, old = np.array(found, np.int64), 0
        unknown = found.count(none)
        if self._oldest < self._since(at):
            gone = np.append(self._item_us, 2**62)[rows] < self._since(at)
            rows[gone], old = none, int(gone.sum())
            found = rows.tolist()
        units = list(items) if self._unit is None else [self._unit[row] for row in found]
        return Candidates(items, rows, units, unknown, old)

    def group_rows(self, units: Sequence[str | None], cell: str, at: datetime) -> np.ndarray:
        """int64[u]: rows of groups; their number where nothing is known of one."""
        of_cell, none = self._group.get(cell, {}), len(self._group_us)
        rows = np.array([of_cell.get(unit or "", none) for unit in units], np.int64)
        if self._oldest < self._since(at):
            rows[np.append(self._group_us, 2**62)[rows] < self._since(at)] = none
        return rows

    def rows(
        self, user_id: str, user: User, items: Sequence[str], scene: Mapping[str, str], at: datetime
    ) -> tuple[pa.RecordBatch, list[str]]:
        """Returns what `online_rows` would, with the user's part given."""
        found = self.candidates(items, at)
        groups = self.group_rows(found.units, cell_of(self.spec, user, scene), at)
        columns = {
            name: _taken(table, name, rows)
            for view, table, rows in (
                ("item_features", self.items, found.rows),
                ("scene_features", self.groups, groups),
            )
            for name in view_columns(self.spec)[view]
        }
        batch = scorer_rows(self.spec, user_id, user, items, found.units, columns, scene, at)
        return batch, flags_of(self.spec, user, found.unknown, found.old)

    def _since(self, at: datetime) -> int:
        return since_epoch(at - timedelta(days=self.spec.features.ttl_days))


def write_snapshot(settings: Settings, lake: Lake, spec: ProfileSpec) -> str:
    """Writes what is online of items and groups, and makes it the current snapshot.

    It is named after the days that it is made from, and a folder once written stays as it is.

    Returns:
        Its version.
    """
    days = {view: {str(d): s.hash for d, s in lake.days(view).items()} for view in KEYS}
    made_from = json.dumps([days, spec.features.ttl_days], sort_keys=True)
    version = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    folder = lake.home.feast / "snapshots" / version
    if not folder.exists():
        _write(settings, lake, spec, folder)
    files = {view: (folder / f"{view}.arrow").read_bytes() for view in KEYS}
    hashes = {view: hashlib.sha256(content).hexdigest() for view, content in files.items()}
    write_text(lake.home.feast / CURRENT, json.dumps({"version": version, "sha256": hashes}))
    others = sorted(folder.parent.glob("[!.]*"), key=lambda f: (f == folder, f.stat().st_mtime_ns))
    for other in others[:-KEPT]:
        shutil.rmtree(other)
    return version


def _write(settings: Settings, lake: Lake, spec: ProfileSpec, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for view, keys in KEYS.items():
        last = max(lake.days(view))
        since = last - timedelta(days=spec.features.ttl_days)
        columns = view_columns(spec)[view]
        sql = render("snapshot", table=view, keys=keys, columns=columns)
        with connect(settings, lake.home) as connection:
            lake.view(connection, view, [("ds", ">=", since)])
            oldest = datetime(since.year, since.month, since.day, tzinfo=UTC)
            table = connection.sql(sql, params={"oldest": oldest}).to_arrow_table()
        with pa.ipc.new_file(partial / f"{view}.arrow", table.schema) as writer:
            writer.write_table(table)
    os.replace(partial, folder)


def _taken(table: pa.Table, name: str, rows: np.ndarray) -> pa.Array:
    """Values of some rows, null where the row is none of the table's."""
    index = pa.array(rows, mask=rows == len(table))
    return table[name].combine_chunks().take(index)


def since_epoch(moment: datetime) -> int:
    """Returns a moment in µs since the epoch."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
