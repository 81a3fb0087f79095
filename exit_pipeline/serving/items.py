"""The item side of a request, in memory: items and groups as the online store holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.features.inputs import view_columns
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.rows import UserRow, assemble, cell_of, item_flags
from exit_pipeline.settings import Settings


@dataclass(frozen=True)
class View:
    """The newest rows of a feature view, found by their keys.

    Args:
        rows: n rows.
        at: Row by key.
        us: int64[n], event times in µs since the epoch.
    """

    rows: pa.Table
    at: dict[tuple[str, ...], int]
    us: np.ndarray

    @classmethod
    def load(
        cls, settings: Settings, lake: Lake, name: str, keys: Sequence[str], columns: Sequence[str]
    ) -> View:
        """Reads a view's newest row per key."""
        with connect(settings, lake.home) as connection:
            lake.view(connection, name)
            found = connection.sql(render("newest_rows", table=name, keys=keys))
            rows = found.to_arrow_table()
        at = zip(*(rows.column(key).to_pylist() for key in keys), strict=True)
        us = rows.column("event_timestamp").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        where = {key: row for row, key in enumerate(at)}
        return cls(rows.select(list(columns)), where, us.to_numpy())

    def find(self, keys: Sequence[tuple[str, ...]], oldest: int) -> tuple[np.ndarray, int, int]:
        """Looks up rows that are not older than a time.

        Returns:
            int64[m], the row of each key, −1 where there is none to use; how many keys are unknown;
            how many rows are too old.
        """
        found = np.array([self.at.get(key, -1) for key in keys], np.int64)
        known = found >= 0
        old = known & (self.us[found] < oldest) if len(self.us) else known
        return np.where(old, -1, found), int((~known).sum()), int(old.sum())

    def take(self, rows: np.ndarray) -> dict[str, pa.Array]:
        """Returns the columns of some rows, null where the row is −1."""
        taken = self.rows.take(pa.array(rows, mask=rows < 0))
        return {name: taken.column(name).combine_chunks() for name in taken.schema.names}


class Items:
    """Items and groups at one moment; nothing of it changes.

    Args:
        settings: Threads and memory of the read.
        lake: The lake.
        spec: The profile.

    Raises:
        LakeError: A feature table is missing.
    """

    def __init__(self, settings: Settings, lake: Lake, spec: ProfileSpec) -> None:
        views, self.spec = view_columns(spec), spec
        self.items = View.load(settings, lake, "item_features", ["item_id"], views["item_features"])
        self.groups = View.load(
            settings, lake, "scene_features", ["unit", "cell"], views["scene_features"]
        )
        newest = int(self.items.us.max(initial=0))
        self.as_of = datetime.fromtimestamp(newest / 1e6, UTC)
        self.catalogue = sorted(
            key[0] for key, row in self.items.at.items() if self.items.us[row] == newest
        )

    def rows(
        self, user: UserRow, items: Sequence[str], scene: Mapping[str, str], at: datetime
    ) -> tuple[pa.RecordBatch, list[str]]:
        """Returns the scorer's inputs, as `online_rows` reads them out of Feast, and flags."""
        oldest = round((at - timedelta(days=self.spec.features.ttl_days)).timestamp() * 1e6)
        found, unknown, old = self.items.find([(item,) for item in items], oldest)
        columns = self.items.take(found)
        by_item = self.spec.interest_unit == "item_id"
        units = pa.array(items) if by_item else columns[self.spec.interest_unit]
        cell = cell_of(self.spec, scene, user)
        cells = [(unit or "", cell) for unit in units.to_pylist()]
        columns |= self.groups.take(self.groups.find(cells, oldest)[0])
        batch = assemble(self.spec, user, items, pc.cast(units, pa.string()), columns, scene, at)
        return batch, [*user.flags, *item_flags(self.spec, unknown, old)]
