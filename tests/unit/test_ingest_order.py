"""Landing days in any order, again, and at the same time: of repeats the lowest one wins."""

from __future__ import annotations

import itertools
import multiprocessing
from datetime import timedelta
from pathlib import Path

import pytest

from exit_pipeline.ingest import ingest_days
from exit_pipeline.lake import Lake, connect
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import load_settings
from tests.logs import DAY, EVENTS, PROFILE, SmallLog, at, event

LANDED = {
    0: [event("a", at(0)), event("b", at(0))],
    1: [event("a", at(0)), event("c", at(1)), event("d", at(1))],
    2: [event("a", at(2)), event("c", at(0)), event("e", at(2))],
    # Within reach of day 2 only, whose row of `a` is a repeat in its turn.
    9: [event("a", at(9)), event("f", at(9))],
}


def ingest_order(root: Path, order: tuple[int, ...]) -> SmallLog:
    log = SmallLog(root)
    for day, rows in LANDED.items():
        log.land(day, rows)
    for day in order:
        log.ingest(day, day)
    return log


@pytest.fixture(scope="module")
def in_order(tmp_path_factory):
    log = ingest_order(tmp_path_factory.mktemp("in-order"), tuple(sorted(LANDED)))
    return log.lake.days("events")


@pytest.mark.parametrize("order", list(itertools.permutations(LANDED))[5::6])
def test_days_ingested_in_any_order_end_the_same(tmp_path, in_order, order):
    assert ingest_order(tmp_path, order).lake.days("events") == in_order


def test_a_day_landed_again_gives_its_events_back_to_the_days_that_repeated_them(tmp_path):
    log = ingest_order(tmp_path, (0, 1, 2))
    log.land(0, [event("b", at(0))])
    reports = log.ingest(0, 0)
    assert [(r.day, r.again, r.events) for r in reports] == [
        (DAY, False, 1),
        (DAY + timedelta(days=1), True, 3),
        (DAY + timedelta(days=2), True, 1),
    ]
    known = {row["event_id"]: row["known_on"] for row in log.rows("events")}
    assert known["a"] == DAY + timedelta(days=1)
    assert len(known) == len(log.rows("events")) == 5


def test_an_id_that_landed_late_is_remembered_as_long_as_any(tmp_path):
    log = SmallLog(tmp_path)
    log.land(9, [event("x", at(3))])
    log.land(11, [event("x", at(11))])
    log.ingest(9, 9)
    (report,) = log.ingest(11, 11)
    assert (report.events, report.duplicates, report.conflicting) == (0, 1, 1)


def ingest_alone(root: Path, day: int) -> None:
    settings = load_settings(home=root / "home", threads=1)
    profile = load_profile(root / "profile")
    lake = Lake(settings.home_of(profile.name))
    days = [DAY + timedelta(days=day)]
    list(ingest_days(connect(settings, lake.home), lake, profile, days))


def test_two_processes_that_ingest_at_the_same_time(tmp_path, in_order):
    log = ingest_order(tmp_path, ())
    start = multiprocessing.get_context("spawn").Process
    days = [start(target=ingest_alone, args=(tmp_path, day)) for day in (2, 1, 0, 9)]
    for process in days:
        process.start()
    for process in days:
        process.join()
    assert [process.exitcode for process in days] == [0] * 4
    assert log.lake.days("events") == in_order


def test_files_under_a_days_folder_landed_on_that_day_whatever_the_adapter_says(tmp_path):
    log = SmallLog(tmp_path)
    (tmp_path / "profile" / "events.sql").write_text(
        "select * replace ((ts at time zone 'UTC')::date as ds) from raw_events"
    )
    log.land(2, [event("late", at(1)), event("on_time", at(2))])
    (report,) = log.ingest(2, 2)
    assert (report.read, report.events, report.late) == (2, 2, 1)
    assert report.balanced
    assert report.stored == 2


def test_rows_that_say_no_day_are_quarantined_with_the_first(tmp_path):
    tables = "{events: 'flat/*.parquet', items: 'items/*.parquet', users: 'users/*.parquet'}"
    log = SmallLog(tmp_path, PROFILE + f"landing: {{broken_share: 1.0, tables: {tables}}}\n")
    (tmp_path / "profile" / "events.sql").write_text(
        "select *, case when place = 'home' then (ts at time zone 'UTC')::date end as ds "
        "from raw_events"
    )
    rows = [event("a", at(0)), event("b", at(1)), event("lost", at(1), place="work")]
    log.write("flat/events.parquet", rows, EVENTS)
    first, second = log.ingest(0, 1)
    assert (first.read, first.events, first.quarantine) == (2, 1, {"ds_missing": 1})
    assert (second.read, second.events, second.quarantine) == (1, 1, {})
    assert first.balanced
    assert second.balanced
