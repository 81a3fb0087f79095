"""Small logs for tests: literal rows in, a lake out."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.ingest import IngestReport, ingest_attributes, ingest_days
from exit_pipeline.labels import (
    build_group_consistency,
    build_icl_labels,
    build_impressions,
    build_source_interest,
)
from exit_pipeline.lake import Lake, connect
from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.settings import load_settings

DAY = date(2026, 1, 5)
EVENTS = pa.schema(
    [
        ("event_id", pa.string()),
        ("ts", pa.timestamp("us", "UTC")),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("domain", pa.string()),
        ("event_type", pa.string()),
        ("request_id", pa.string()),
        ("value", pa.float64()),
        ("position", pa.int32()),
        ("place", pa.string()),
    ]
)
ITEMS = pa.schema(
    [("item_id", pa.string()), ("category", pa.string()), ("valid_from", pa.timestamp("us", "UTC"))]
)
USERS = pa.schema(
    [("user_id", pa.string()), ("segment", pa.string()), ("valid_from", pa.timestamp("us", "UTC"))]
)
PROFILE = """
name: small
start: 2026-01-05
target: feed
sources: [search, channel]
interest_unit: category
items: {category: {}}
users: {segment: {}}
segment: segment
context: {place: {values: [home, work]}}
scene: {columns: [hour_band, day_kind, place]}
group: [hour_band]
"""
ADAPTERS = {
    "events": "select * from raw_events",
    "items": "select * from raw_items",
    "users": "select * from raw_users",
}


def at(day: int, clock: str = "12:00", us: int = 0) -> datetime:
    """A moment: day number from the first day on, and a clock time."""
    hours, minutes, *seconds = (int(part) for part in clock.split(":"))
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    return start + timedelta(
        days=day, hours=hours, minutes=minutes, seconds=sum(seconds), microseconds=us
    )


def event(event_id: str, ts: datetime, kind: str = "impression", **columns: Any) -> dict:
    """One row of the log, by default an impression of i1 to u1 in the feed."""
    row = dict.fromkeys(EVENTS.names) | {"event_id": event_id, "ts": ts, "event_type": kind}
    return row | {"user_id": "u1", "item_id": "i1", "domain": "feed", "place": "home"} | columns


def give_deletion_vectors(table: Path) -> None:
    """Switches deletion vectors on for a Delta table, in a commit after its first one."""
    feature = ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": feature, "writerFeatures": feature}  # fmt: skip
    commit = table / "_delta_log" / f"{1:020d}.json"
    commit.write_text(json.dumps({"protocol": protocol}) + "\n")


@dataclass
class SmallLog:
    """A landing place, a profile and a lake under one temporary folder."""

    root: Path
    profile_text: str = PROFILE
    items: list[dict] = field(
        default_factory=lambda: [
            {"item_id": f"i{n}", "category": f"c{(n + 1) // 2}", "valid_from": at(-30)}
            for n in range(1, 9)
        ]
    )
    users: list[dict] = field(
        default_factory=lambda: [
            {"user_id": f"u{n}", "segment": f"s{n % 2}", "valid_from": at(-30)} for n in range(1, 7)
        ]
    )

    def __post_init__(self) -> None:
        folder = self.root / "profile"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "profile.yaml").write_text(self.profile_text)
        for table, sql in ADAPTERS.items():
            (folder / f"{table}.sql").write_text(sql)
        self.profile: Profile = load_profile(folder)
        self.settings = load_settings(home=self.root / "home", threads=1, memory_limit="1GB")
        self.lake = Lake(self.settings.home_of(self.profile.name))
        for name, rows, schema in (("items", self.items, ITEMS), ("users", self.users, USERS)):
            self.write(f"{name}/{name}.parquet", rows, schema)

    def copy(self, root: Path) -> SmallLog:
        """Copies all that was landed and built; a test may change the copy as it likes."""
        other = replace(self, root=root)
        shutil.copytree(self.settings.home, other.settings.home, dirs_exist_ok=True)
        return other

    def write(self, file: str, rows: list[dict], schema: pa.Schema) -> Path:
        """Writes one landing file."""
        path = self.lake.home.landing / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
        return path

    def land(self, day: int, rows: list[dict], schema: pa.Schema = EVENTS) -> Path:
        """Lands one day."""
        return self.write(f"events/ds={DAY + timedelta(days=day)}/part-0.parquet", rows, schema)

    def connect(self):
        """Opens a DuckDB as the pipeline does."""
        return connect(self.settings, self.lake.home)

    def ingest(self, first: int, last: int) -> list[IngestReport]:
        """Ingests attributes and the landing days `first`…`last`."""
        connection = self.connect()
        for table in ("items", "users"):
            ingest_attributes(connection, self.lake, self.profile, table)
        days = [_day(number) for number in range(first, last + 1)]
        return list(ingest_days(connection, self.lake, self.profile, days))

    def label(self, first: int, last: int) -> list[dict]:
        """Builds every label table of exposure days `first`…`last`; returns the labels."""
        for build in (
            build_impressions,
            build_source_interest,
            build_group_consistency,
            build_icl_labels,
        ):
            build(self.connect(), self.lake, self.profile, _day(first), _day(last))
        return self.rows("icl_labels")

    def run(self, days: dict[int, list[dict]]) -> list[dict]:
        """Lands, ingests and labels days; the last one lands only to mature the one before."""
        for day, rows in days.items():
            self.land(day, rows)
        self.ingest(min(days), max(days))
        return self.label(min(days), max(days) - self.profile.spec.labels.horizon_days)

    def rows(self, table: str) -> list[dict]:
        """Returns a whole table as dictionaries, in a fixed order."""
        connection = self.connect()
        self.lake.view(connection, table)
        return connection.sql(f'select * from "{table}" order by all').to_arrow_table().to_pylist()


def _day(number: int) -> date:
    return DAY + timedelta(days=number)
