"""The item side of a request, in memory: items and groups as the online store holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from exit_pipeline.features.inputs import view_columns
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.rows import UserRow, assemble, cell_of, item_flags
from exit_pipeline.settings import Settings
from exit_pipeline.times import DAY_US, instant, since_epoch
from exit_pipeline.validation.verdicts import passed

KEYS = {"item_features": ["item_id"], "scene_features": ["unit", "cell"]}


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
    """Items and groups at one moment; nothing of it changes.

    Args:
        spec: The profile.
        items: A row per item: `item_id`, the columns of `item_features`, `event_us`.
        groups: A row per unit and cell: `unit`, `cell`, those of `scene_features`, `event_us`.
    """

    def __init__(self, spec: ProfileSpec, items: pa.Table, groups: pa.Table) -> None:
        self.spec, self.items, self.groups = spec, items, groups
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
        newest = int(self._item_us.max(initial=0))
        self.as_of = instant(newest)
        self.catalogue = sorted(ids[row] for row in np.flatnonzero(self._item_us == newest))

    @classmethod
    def load(cls, settings: Settings, lake: Lake, spec: ProfileSpec) -> Snapshot:
        """Reads each item's and each group's newest row, of days that no check refused.

        Raises:
            LakeError: A feature table is missing.
        """
        tables = []
        with connect(settings, lake.home) as connection:
            for view, keys in KEYS.items():
                lake.view(connection, view, passed(lake, view))
                columns = view_columns(spec)[view]
                query = render("newest_rows", table=view, keys=keys, columns=columns)
                tables.append(connection.sql(query).to_arrow_table())
        return cls(spec, *tables)

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
        found = [none if unit is None else of_cell.get(unit, none) for unit in units]
        rows = np.array(found, np.int64)
        if self._oldest < self._since(at):
            rows[np.append(self._group_us, 2**62)[rows] < self._since(at)] = none
        return rows

    def rows(
        self, user: UserRow, items: Sequence[str], scene: Mapping[str, str], at: datetime
    ) -> tuple[pa.RecordBatch, list[str]]:
        """Returns the scorer's inputs, as `online_rows` reads them out of Feast, and flags."""
        found = self.candidates(items, at)
        groups = self.group_rows(found.units, cell_of(self.spec, scene, user), at)
        columns = {
            name: _taken(table, name, rows)
            for view, table, rows in (
                ("item_features", self.items, found.rows),
                ("scene_features", self.groups, groups),
            )
            for name in view_columns(self.spec)[view]
        }
        units = pa.array(found.units, pa.string())
        batch = assemble(self.spec, user, items, units, columns, scene, at)
        return batch, [*user.flags, *item_flags(self.spec, found.unknown, found.old)]

    def _since(self, at: datetime) -> int:
        return since_epoch(at) - self.spec.features.ttl_days * DAY_US


def _taken(table: pa.Table, name: str, rows: np.ndarray) -> pa.Array:
    """Values of some rows, null where the row is none of the table's."""
    index = pa.array(rows, mask=rows == len(table))
    return table[name].combine_chunks().take(index)
