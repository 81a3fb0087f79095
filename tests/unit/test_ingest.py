"""Each rule of the log contract, repeats, late rows, and what is left of a bad day."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exit_pipeline.errors import LandingError
from exit_pipeline.ingest import landed_days
from exit_pipeline.ingest.shown import land_shown
from tests.logs import DAY, EVENTS, PROFILE, SmallLog, at, event

LENIENT = PROFILE + "landing: {broken_share: 1.0}\n"
BROKEN = {
    "event_id_missing": {"event_id": ""},
    "ts_missing": {"ts": None},
    "ts_in_future": {"ts": at(9)},
    "too_late": {"ts": at(0, "23:59:59") - timedelta(days=1)},
    "user_id_missing": {"user_id": None},
    "item_id_missing": {"item_id": ""},
    "id_too_long": {"user_id": "u" * 10_001},
    "unknown_domain": {"domain": "billboard"},
    "unknown_event_type": {"event_type": "hover"},
    "value_invalid": {"value": float("nan")},
    "unknown_place": {"place": "moon"},
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_row_that_breaks_a_rule_is_quarantined_with_its_name_row_and_file(tmp_path, rule):
    log = SmallLog(tmp_path, LENIENT)
    day = 7  # so that a row of the day before the first is eight days late
    log.land(day, [event("good", at(day)), event("bad", at(day)) | BROKEN[rule]])
    (report,) = log.ingest(day, day)
    assert (report.read, report.events, report.quarantine) == (2, 1, {rule: 1})
    (row,) = log.rows("quarantine")
    assert row["rule"] == rule
    assert row["row"] == 1
    assert row["file"] == f"events/ds={DAY + timedelta(days=day)}/part-0.parquet"
    assert json.loads(row["raw"])["event_type"] == (BROKEN[rule].get("event_type", "impression"))


@pytest.mark.parametrize("position", [-1, 2**31, 2**40])
def test_a_position_that_is_no_place_in_a_list(tmp_path, position):
    log = SmallLog(tmp_path, LENIENT)
    schema = EVENTS.set(EVENTS.get_field_index("position"), pa.field("position", pa.int64()))
    log.land(0, [event("bad", at(0), position=position), event("good", at(0), position=0)], schema)
    assert log.ingest(0, 0)[0].quarantine == {"position_invalid": 1}


def test_times_at_the_epoch_are_too_late(tmp_path):
    log = SmallLog(tmp_path, LENIENT)
    log.land(0, [event("bad", datetime(1970, 1, 1, tzinfo=UTC)), event("good", at(0))])
    assert log.ingest(0, 0)[0].quarantine == {"too_late": 1}


@pytest.mark.parametrize("value", [-0.01, float("inf"), float("-inf"), 1e300])
def test_values_that_are_no_amounts(tmp_path, value):
    log = SmallLog(tmp_path, LENIENT)
    log.land(0, [event("bad", at(0), "order", value=value)])
    assert log.ingest(0, 0)[0].quarantine == {"value_invalid": 1}


def test_amounts_are_kept_as_cents(tmp_path):
    log = SmallLog(tmp_path)
    log.land(0, [event("a", at(0), "order", value=19.99), event("b", at(0), "order", value=0.1)])
    log.ingest(0, 0)
    assert {row["event_id"]: row["value"] for row in log.rows("events")} == {"a": 1999, "b": 10}


def test_repeats_are_dropped_and_counted_wherever_they_come(tmp_path):
    log = SmallLog(tmp_path)
    log.land(0, [event("a", at(0)), event("a", at(0, "13:00")), event("b", at(0))])
    log.land(1, [event("b", at(0)), event("c", at(1))])
    first, second = log.ingest(0, 1)
    assert (first.events, first.duplicates, first.conflicting) == (2, 1, 1)
    assert (second.events, second.duplicates, second.conflicting) == (1, 1, 0)
    kept = {row["event_id"]: row["ts"] for row in log.rows("events")}
    assert kept["a"] == at(0)  # the lowest (known_on, file, row) wins


def test_a_context_column_may_be_called_repeat(tmp_path):
    text = LENIENT.replace("{place: {", "{repeat: {values: ['true', 'false']}, place: {")
    log = SmallLog(tmp_path, text)
    schema = EVENTS.append(pa.field("repeat", pa.string()))
    log.land(0, [event(name, at(0), repeat="true") for name in "aab"], schema)
    (report,) = log.ingest(0, 0)
    assert (report.events, report.duplicates) == (2, 1)
    assert [(row["event_id"], row["repeat"]) for row in log.rows("events")] == [
        ("a", "true"), ("b", "true")]  # fmt: skip


def test_a_broken_row_does_not_take_a_good_rows_place(tmp_path):
    log = SmallLog(tmp_path, LENIENT)
    log.land(0, [event("a", at(0), user_id=None), event("a", at(0))])
    (report,) = log.ingest(0, 0)
    assert (report.events, report.duplicates, report.quarantine) == (1, 0, {"user_id_missing": 1})


def test_a_late_row_goes_to_the_day_it_belongs_to(tmp_path):
    log = SmallLog(tmp_path)
    log.land(0, [event("a", at(0))])
    log.land(3, [event("late", at(0, "23:59:59")), event("b", at(3))])
    log.ingest(0, 0)
    (report,) = log.ingest(3, 3)
    assert (report.late, report.touched_days) == (1, [DAY, DAY + timedelta(days=3)])
    late = next(row for row in log.rows("events") if row["event_id"] == "late")
    assert (late["ds"], late["known_on"]) == (DAY, DAY + timedelta(days=3))


def test_every_row_is_accounted_for_where_it_lies(tmp_path):
    log = SmallLog(tmp_path, LENIENT)
    log.land(0, [event("a", at(0)), event("a", at(0)), event("b", at(0), domain="x")])
    (report,) = log.ingest(0, 0)
    assert report.balanced
    assert len(log.rows("events")) + report.duplicates + len(log.rows("quarantine")) == 3


def test_running_a_day_again_changes_nothing(tmp_path):
    log = SmallLog(tmp_path)
    log.land(0, [event("a", at(0))])
    log.land(1, [event("b", at(1)), event("a", at(0))])
    log.ingest(0, 1)
    before = log.lake.version("events"), log.lake.days("events")
    log.ingest(0, 1)
    assert (log.lake.version("events"), log.lake.days("events")) == before


def test_the_content_hash_does_not_see_row_order(tmp_path):
    rows = [event(f"e{n}", at(0)) for n in range(50)]
    one, two = SmallLog(tmp_path / "one"), SmallLog(tmp_path / "two")
    one.land(0, rows)
    two.land(0, rows[::-1])
    assert one.ingest(0, 0)[0].state == two.ingest(0, 0)[0].state


def test_a_log_of_what_was_shown_may_be_a_raw_table_of_its_own(tmp_path):
    tables = ("{log: 'log/ds=*/*.parquet', shown: 'shown/ds=*/*.parquet', items: 'items/*.parquet', "
              "users: 'users/*.parquet'}")  # fmt: skip
    log = SmallLog(tmp_path, f"{PROFILE}landing: {{tables: {tables}}}\n")
    both = "select * from raw_log union all by name select * from raw_shown"
    (tmp_path / "profile" / "events.sql").write_text(both)
    for day in (0, 1):
        log.write(f"log/ds={at(day).date()}/p.parquet", [event(f"e{day}", at(day))], EVENTS)
    served = tmp_path / "served" / f"ds={DAY}" / "part.parquet"
    served.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([event("s", at(0))], EVENTS), served)
    told = land_shown(log.settings, log.lake.home, log.profile, tmp_path / "served", at(5))
    assert told == {DAY: 1}
    assert landed_days(log.profile, log.lake.home) == [DAY, DAY + timedelta(days=1)]
    (report,) = log.ingest(0, 0)
    assert (report.read, report.events) == (2, 2)
    with pytest.raises(LandingError, match="no landing file of 'shown' for 2026-01-06"):
        log.ingest(1, 1)


def test_files_may_hold_amounts_of_different_precision(tmp_path):
    """Writers that choose a decimal's width by its values choose another one for each file."""
    log, place = SmallLog(tmp_path), EVENTS.get_field_index("value")
    for part, value, kind in (("a", "1.50", (3, 2)), ("b", "12345.5", (6, 1))):
        schema = EVENTS.set(place, pa.field("value", pa.decimal128(*kind)))
        row = event(part, at(0), "order", value=Decimal(value))
        log.write(f"events/ds={DAY}/{part}.parquet", [row], schema)
    assert log.ingest(0, 0)[0].events == 2
    assert [row["value"] for row in log.rows("events")] == [150, 1_234_550]
