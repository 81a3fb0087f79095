"""`profile init` drafts a profile that runs, from a log by any names, or says what it looked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exit_pipeline.errors import LandingError, UsageError
from exit_pipeline.ingest import ingest_attributes, ingest_days, landed_days
from exit_pipeline.lake import Lake, connect
from exit_pipeline.lake.table import days_between
from exit_pipeline.profile import load_profile
from exit_pipeline.profile.draft import draft_profile
from exit_pipeline.profile.draft_events import instant
from exit_pipeline.settings import load_settings
from exit_pipeline.simulator import SimulationConfig, simulate


@pytest.fixture
def settings(tmp_path):
    return load_settings(home=tmp_path / "home", threads=1, memory_limit="1GB")


def ingested(settings, profile):
    """Rows of the tables that a drafted profile brings in, and how many were quarantined."""
    lake = Lake(settings.home_of(profile.name))
    connection = connect(settings, lake.home)
    days = landed_days(profile, lake.home) or days_between(profile.spec.start, profile.spec.end)
    for table in ("items", "users"):
        ingest_attributes(connection, lake, profile, table)
    broken = sum(r.quarantined for r in ingest_days(connection, lake, profile, days))
    rows = {}
    for table in ("events", "items", "users"):
        lake.view(connection, table)
        rows[table] = connection.sql(f"from {table} order by all").to_arrow_table().to_pylist()
    return rows, broken


def test_a_simulated_log(settings, tmp_path):
    config = SimulationConfig(days=4, users=400, items=120, sources=3)
    counts = simulate(config, tmp_path / "landing")
    told = draft_profile(settings, tmp_path / "landing")
    profile = load_profile(told["out"])
    spec = profile.spec
    assert told["out"] == str(tmp_path / "profile")
    assert (spec.target, set(spec.sources)) == ("feed", {"search", "channel", "source_3"})
    assert (spec.start, spec.end) == (date(2026, 1, 5), date(2026, 1, 8))
    assert (spec.interest_unit, spec.segment) == ("category", "segment")
    assert {name: a.type for name, a in spec.items.items()} == {
        "category": "categorical", "brand": "categorical", "price": "numeric"}  # fmt: skip
    assert set(spec.context["place"].values) == {"home", "work", "out"}
    rows, broken = ingested(settings, profile)
    assert broken == sum(
        n for rule, n in counts["planted"].items() if rule not in ("late", "repeats")
    )
    assert len(rows["events"]) > 0.99 * counts["events"]
    before = (tmp_path / "profile" / "profile.yaml").read_text()
    with pytest.raises(UsageError, match="would be written over"):
        draft_profile(settings, tmp_path / "landing")
    assert (tmp_path / "profile" / "profile.yaml").read_text() == before


def write(file, **columns):
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_log_by_other_names(settings, tmp_path):
    """One file of feed and search, one of carts that tells its domain and type by its name."""
    ms = [int(NOON.timestamp() * 1000) + 1000 * n for n in range(6)]
    write(
        tmp_path / "shop" / "app.parquet",
        customerId=[1, 2, 1, 2, 1, 2], SKU=["a", "b", "a", "b", "a", "b"], Time=ms,
        Action=["View", "View", "tap", "scroll", "View", "Purchase"],
        Surface=["Home Feed"] * 4 + ["Search"] * 2, order=["up", "down"] * 3,
        segment=["new", "old"] * 3,
        total=[None, None, None, None, None, 12.5],
    )  # fmt: skip
    naive = pa.array([NOON.replace(tzinfo=None, hour=13)], pa.timestamp("ns"))
    write(tmp_path / "shop" / "mail_clicks.parquet", uid=["1"], product_id=["a"], timestamp=naive)
    write(
        tmp_path / "shop" / "products" / "p.parquet",
        id=["a", "b"], left=["x", "y"], user_rate=[1, 2], tags=[["t"], []],
    )  # fmt: skip
    told = draft_profile(settings, tmp_path / "shop", tmp_path / "drafted")
    profile = load_profile(tmp_path / "drafted")
    spec = profile.spec
    assert (spec.target, set(spec.sources)) == ("home_feed", {"search", "mail"})
    assert (spec.start, spec.end) == (date(2026, 3, 1), date(2026, 3, 1))
    assert set(spec.items) == {"item_left", "item_user_rate"}
    assert spec.context["event_order"].values == ("down", "up")
    assert spec.context["event_segment"].values == ("new", "old")
    assert any("'scroll' are left out" in note for note in told["notes"])
    assert any("all are taken as click" in note for note in told["notes"])
    rows, broken = ingested(settings, profile)
    assert broken == 0
    assert [(e["domain"], e["event_type"], e["ts"].second, e["user_id"]) for e in
            sorted(rows["events"], key=lambda e: e["ts"])] == [
        ("home_feed", "impression", 0, "1"), ("home_feed", "impression", 1, "2"),
        ("home_feed", "click", 2, "1"), ("search", "impression", 4, "1"),
        ("search", "order", 5, "2"), ("mail", "click", 0, "1")]  # fmt: skip
    assert [e["value"] for e in rows["events"] if e["value"] is not None] == [1250]
    assert [row["item_left"] for row in rows["items"]] == ["x", "y"]
    # No table tells of users: each is known from the first of their events on.
    assert [(row["user_id"], row["valid_from"]) for row in rows["users"]] == [
        ("1", NOON), ("2", NOON + timedelta(seconds=1))]  # fmt: skip


@pytest.mark.parametrize("kind", ["double", "decimal(38, 6)", "bigint"])
@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_parts_of_seconds_are_kept(kind, unit):
    us = int(NOON.timestamp()) * 1_000_000 + 250_125
    if kind == "bigint" and unit < 1_000_000:
        us -= us % (1_000_000 // unit)
    number = Decimal(us) * unit / 1_000_000
    sql = instant("when", kind.split("(")[0].upper(), [str(number)])
    with duckdb.connect() as connection:
        found = connection.sql(f'select epoch_us({sql}) from (select {number}::{kind} as "when")')
        assert found.fetchall() == [(us,)]


def test_nonsense_is_refused(settings, tmp_path):
    def refused(kind, *words):
        with pytest.raises(kind) as found:
            draft_profile(settings, tmp_path / "in")
        for word in words:
            assert word in str(found.value)
        assert not (tmp_path / "profile").exists()

    refused(UsageError, "no such folder")
    (tmp_path / "in").mkdir()
    refused(LandingError, "no Parquet file under")
    write(tmp_path / "in" / "numbers.parquet", a=[1], b=[2])
    refused(UsageError, "no table of events", "customer_id", "numbers (a, b)")
    write(tmp_path / "in" / "log.parquet", user_id=["u"], item_id=["i"], ts=[NOON])
    refused(UsageError, "only one domain was found: main")
    (tmp_path / "in" / "broken.parquet").write_bytes(b"no parquet at all")
    refused(LandingError, "not a readable Parquet file", "broken.parquet")
