"""What the sensors ask for, ticked on a home of their own."""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    MetadataValue,
    SensorResult,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.test_utils import create_run_for_test

from assets import sensors
from assets.definitions import defs
from assets.jobs import BEGAN
from assets.resources import Pipeline
from assets.schedules import daily_schedule, put_off_sensor, retrain_schedule
from exit_pipeline.ingest.arrivals import Arrival
from exit_pipeline.settings import load_settings
from exit_pipeline.validation import EXPECTATIONS
from exit_pipeline.validation.verdicts import record

DAYS = [date(2026, 1, day) for day in range(5, 9)]


@pytest.fixture
def instance():
    with DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def here(tmp_path, monkeypatch, simulated):
    """A pipeline on an empty home, as the sensors see it."""
    pipeline = Pipeline(load_settings(home=tmp_path), simulated)
    monkeypatch.setattr(sensors, "PIPELINE", pipeline)
    # What lands is at rest for the sensors; the clock of everything else stays as it is.
    later = SimpleNamespace(time=lambda: time.time() + 120)
    monkeypatch.setattr(sensors, "time", later)
    return pipeline


def land(pipeline: Pipeline, day: date, text: str = "rows", name: str = "part-0", at: float = 1e9):
    """Writes what a sensor sees of a landing file: no more than its name, size and time."""
    folder = pipeline.home.landing / "events" / f"ds={day}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.parquet"
    file.write_text(text)
    os.utime(file, (at, at))
    return file


def tick(which, instance: DagsterInstance, cursor: str | None = None) -> SensorResult:
    return which(build_sensor_context(instance=instance, cursor=cursor, definitions=defs))


def ranges(told: SensorResult) -> list[tuple[str, ...]]:
    return [tuple(request.tags.values()) for request in told.run_requests]


def test_a_day_that_landed_is_asked_for_once_and_again_when_its_files_change(here, instance):
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        file = land(here, day)
    first = tick(sensors.landing_sensor, instance)
    assert ranges(first) == [("2026-01-05", "2026-01-06"), ("2026-01-08", "2026-01-08")]
    again = tick(sensors.landing_sensor, instance, first.cursor)
    assert again.run_requests == []
    assert again.skip_reason
    land(here, DAYS[1], name="part-1")
    changed = tick(sensors.landing_sensor, instance, again.cursor)
    assert ranges(changed) == [("2026-01-06", "2026-01-06")]
    assert changed.run_requests[0].run_key not in {r.run_key for r in first.run_requests}
    file.write_text("ROWS")  # of the same size
    os.utime(file, (1e9 + 1, 1e9 + 1))
    assert ranges(tick(sensors.landing_sensor, instance, changed.cursor)) == [
        ("2026-01-08", "2026-01-08")
    ]


def test_files_that_come_back_after_others_are_asked_for_again(here, instance):
    """Dagster starts nothing for a key that it has seen."""
    asked, cursor = [], None
    for text in ("rows", "more rows", "rows"):
        land(here, DAYS[0], text)
        told = tick(sensors.landing_sensor, instance, cursor)
        asked += [request.run_key for request in told.run_requests]
        cursor = told.cursor
        read = AssetMaterialization("events", partition=str(DAYS[0]))
        instance.report_runless_asset_event(read)
    assert len(set(asked)) == 3


def test_a_day_still_being_written_and_a_day_of_another_log_wait(here, instance, monkeypatch):
    came = {DAYS[0]: 1e9, DAYS[1]: 1e9 - 60, date(2025, 12, 31): 1e9 - 60}
    landed = {day: Arrival("content", at) for day, at in came.items()}
    monkeypatch.setattr("exit_pipeline.ingest.arrivals.arrivals", lambda *_: landed)
    monkeypatch.setattr(sensors.time, "time", lambda: 1e9 + 30)
    told = tick(sensors.landing_sensor, instance)
    assert ranges(told) == [("2026-01-06", "2026-01-06")]
    monkeypatch.setattr(sensors.time, "time", lambda: 1e9 + 61)
    assert ranges(tick(sensors.landing_sensor, instance, told.cursor)) == [
        ("2026-01-05", "2026-01-05")
    ]


def test_a_copy_that_keeps_its_times_has_only_just_come(here, instance, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sensors, "PIPELINE", here)
    land(here, DAYS[0])  # last changed in 2001
    assert tick(sensors.landing_sensor, instance).run_requests == []


def test_a_file_whose_copy_kept_an_old_time_is_read_where_nobody_looked_before(here, instance):
    instance.report_runless_asset_event(AssetMaterialization("events", partition=str(DAYS[0])))
    time.sleep(0.02)
    land(here, DAYS[0])  # last changed in 2001
    assert ranges(tick(sensors.landing_sensor, instance)) == [("2026-01-05", "2026-01-05")]


def test_a_tick_looks_at_a_bounded_number_of_days(here, instance, monkeypatch):
    monkeypatch.setattr(sensors, "DAYS_A_TICK", 3)
    for day in DAYS:
        land(here, day)
    told = tick(sensors.landing_sensor, instance)
    assert ranges(told) == [("2026-01-05", "2026-01-07")]
    assert ranges(tick(sensors.landing_sensor, instance, told.cursor)) == [
        ("2026-01-08", "2026-01-08")
    ]


def store(pipeline: Pipeline, instance: DagsterInstance, landed: str, *event_days: str):
    """Puts a landing day's events into the lake, as ingestion would, and records it."""
    with pipeline.connect() as duck:
        duck.execute(
            "create table rows as select ?::date as known_on, unnest(?)::date as ds, 1 as n",
            [landed, list(event_days)],
        )
        pipeline.lake("test").replace(duck, "events", "rows", [date.fromisoformat(landed)])
    instance.report_runless_asset_event(AssetMaterialization("events", partition=landed))


@pytest.fixture
def built(here, instance):
    """A log of ten days whose training set is built; returns what the sensor knows then."""
    for day in range(10, 20):
        store(here, instance, f"2026-01-{day}", f"2026-01-{day}")
    for day in range(10, 19):
        built = AssetMaterialization("training_set", partition=f"2026-01-{day}")
        instance.report_runless_asset_event(built)
    told = tick(sensors.late_data_sensor, instance)
    assert told.run_requests == []
    return told.cursor


def asked(told: SensorResult) -> dict[str, str]:
    (request,) = told.run_requests
    return request.run_config["ops"]["follow"]["config"]


def test_late_rows_re_open_the_days_they_belong_to_once(here, instance, built):
    store(here, instance, "2026-01-20", "2026-01-14", "2026-01-20")
    told = tick(sensors.late_data_sensor, instance, built)
    assert asked(told) == {"first": "2026-01-20", "last": "2026-01-20", "touched": "2026-01-14"}
    store(here, instance, "2026-01-20", "2026-01-14", "2026-01-20")  # read again, the same
    assert tick(sensors.late_data_sensor, instance, told.cursor).run_requests == []


def test_late_rows_whose_run_failed_are_asked_for_again_after_a_while(
    here, instance, built, monkeypatch
):
    store(here, instance, "2026-01-20", "2026-01-14", "2026-01-20")
    told = tick(sensors.late_data_sensor, instance, built)
    (request,) = told.run_requests
    create_run_for_test(instance, job_name="late_data", run_config=request.run_config,
                        status=DagsterRunStatus.FAILURE)  # fmt: skip
    assert tick(sensors.late_data_sensor, instance, told.cursor).run_requests == []
    monkeypatch.setattr(sensors.time, "time", lambda: datetime.now(UTC).timestamp() + 3601)
    again = tick(sensors.late_data_sensor, instance, told.cursor)
    assert asked(again)["first"] == "2026-01-20"
    assert again.run_requests[0].run_key != request.run_key
    for day in range(8, 20):  # somebody built them by hand
        built = AssetMaterialization("training_set", partition=f"2026-01-{day:02}")
        instance.report_runless_asset_event(built)
    assert tick(sensors.late_data_sensor, instance, told.cursor).run_requests == []


def test_days_that_land_again_are_one_run_and_reach_what_they_may_have_lost(here, instance, built):
    store(here, instance, "2026-01-15", "2026-01-15", "2026-01-15")
    store(here, instance, "2026-01-17", "2026-01-16", "2026-01-17")
    told = tick(sensors.late_data_sensor, instance, built)
    assert asked(told) == {"first": "2026-01-15", "last": "2026-01-17", "touched": "2026-01-08"}


def test_a_day_that_a_blocking_check_refused_is_not_built_on_until_it_is_mended(
    here, instance, built
):
    store(here, instance, "2026-01-20", "2026-01-14", "2026-01-20")
    lake = here.lake("test")
    record(lake.home, "events", EXPECTATIONS, lake.days("events"), passed=False)
    told = tick(sensors.late_data_sensor, instance, built)
    assert told.run_requests == []
    store(here, instance, "2026-01-20", "2026-01-15", "2026-01-20")
    mended = tick(sensors.late_data_sensor, instance, told.cursor)
    assert asked(mended)["first"] == "2026-01-20"


def test_what_was_built_since_or_is_not_mature_is_not_asked_for(here, instance, built):
    store(here, instance, "2026-01-20", "2026-01-14", "2026-01-20")
    rebuilt = AssetMaterialization("training_set", partition="2026-01-13")
    instance.report_runless_asset_event(rebuilt)
    assert tick(sensors.late_data_sensor, instance, built).run_requests == []


def test_the_newest_days_are_left_to_the_conditions(here, instance):
    """What landed on 02-01 is the outcomes of 01-31, which follow; rows of days before are not."""
    for day in (28, 29, 30, 31):
        store(here, instance, f"2026-01-{day}", f"2026-01-{day}")
    cursor = tick(sensors.late_data_sensor, instance).cursor
    store(here, instance, "2026-02-01", "2026-02-01")
    assert tick(sensors.late_data_sensor, instance, cursor).run_requests == []
    assert followed("impressions", "2026-02-01") == {"2026-01-31"}
    for late in ("2026-01-31", "2026-01-30", "2026-01-29"):
        store(here, instance, "2026-02-01", late, "2026-02-01")
        told = tick(sensors.late_data_sensor, instance, cursor)
        assert asked(told) == {"first": "2026-02-01", "last": "2026-02-01", "touched": late}


def followed(asset: str, day: str) -> set[str]:
    """The days of an asset that a landing day is an input of, as Dagster has it."""
    graph, keys = defs.resolve_asset_graph(), (AssetKey(asset), AssetKey("events"))
    below, events = (graph.get(key).partitions_def for key in keys)
    mapping = graph.get_partition_mapping(*keys)
    landed = events.empty_subset().with_partition_keys([day])
    found = mapping.get_downstream_partitions_for_partitions(landed, events, below)
    return set(found.get_partition_keys())


@pytest.mark.parametrize("by", ["its job", "hand"])
def test_it_waits_for_runs_that_read_days(here, instance, built, by):
    store(here, instance, "2026-01-20", "2026-01-14")
    if by == "hand":
        begin_run(instance, "events", "quarantine")
    else:
        create_run_for_test(instance, job_name="daily_ingest", status=DagsterRunStatus.NOT_STARTED)
    assert isinstance(tick(sensors.late_data_sensor, instance, built), SkipReason)


def begin_backfill(instance: DagsterInstance, status: str, *assets: str) -> PartitionBackfill:
    keys = [AssetKey(name) for name in assets]
    found = PartitionBackfill(
        assets[0], BulkActionStatus(status), False, {}, 1e9, asset_selection=keys
    )
    instance.add_backfill(found)
    return found


@pytest.mark.parametrize("status", ["REQUESTED", "FAILING", "CANCELING"])
def test_sensors_wait_for_backfills_that_read_days(here, instance, built, status):
    """A backfill reads days in one stage, and builds what hangs on them in later ones."""
    store(here, instance, "2026-01-20", "2026-01-14")
    land(here, DAYS[0])
    both = (sensors.landing_sensor, None), (sensors.late_data_sensor, built)

    def asked() -> list[bool]:
        told = [tick(which, instance, cursor) for which, cursor in both]
        return [isinstance(one, SensorResult) and bool(one.run_requests) for one in told]

    begin_backfill(instance, status, "candidate_model", "champion")
    assert asked() == [True, True]
    whole = begin_backfill(instance, status, "events", "impressions")
    assert asked() == [False, False]
    instance.update_backfill(whole.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert asked() == [True, True]


def begin_run(instance: DagsterInstance, *assets: str):
    keys = frozenset(AssetKey(name) for name in assets)
    status = DagsterRunStatus.STARTED
    return create_run_for_test(instance, job_name="some", asset_selection=keys, status=status)


@pytest.fixture
def stored(tmp_path):
    """An instance that a schedule can open."""
    with DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


@pytest.mark.parametrize("by", ["backfill", "run"])
def test_training_put_off_while_rows_were_built_is_asked_for_once_they_are(stored, by):
    def scheduled():
        at = datetime(2026, 1, 20, 5, tzinfo=UTC)
        return retrain_schedule(build_schedule_context(stored, at))

    rows = AssetMaterialization("training_set", partition="2026-01-18")
    stored.report_runless_asset_event(rows)
    begin_run(stored, "online_store")
    assert scheduled().run_key
    assert "no training was put off" in tick(put_off_sensor, stored).skip_message
    if by == "backfill":
        begun = begin_backfill(stored, "REQUESTED", "icl_labels", "training_set")
    else:
        begun = begin_run(stored, "training_set")
    assert "being built" in scheduled().skip_message
    assert "being built" in tick(put_off_sensor, stored).skip_message
    if by == "backfill":
        stored.update_backfill(begun.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    else:
        stored.report_run_failed(begun)
    assert "until the next look" in tick(put_off_sensor, stored).skip_message
    seen = stored.fetch_observations(AssetKey("candidate_model"), limit=1).records[0].storage_id
    asked = tick(put_off_sensor, stored, str(seen))
    assert asked.run_key == tick(put_off_sensor, stored, str(seen)).run_key  # once for this tick
    training = create_run_for_test(stored, job_name="retrain", status=DagsterRunStatus.STARTED)
    assert "being trained" in scheduled().skip_message
    stored.report_run_failed(training)
    stored.report_runless_asset_event(AssetMaterialization("candidate_model"))
    assert "trained since" in tick(put_off_sensor, stored, str(seen)).skip_message


def test_rows_that_came_while_a_model_was_trained_are_new_to_it(stored):
    """Training reads the table as it was when it began."""

    def scheduled():
        return retrain_schedule(
            build_schedule_context(stored, datetime(2026, 1, 20, 5, tzinfo=UTC))
        )

    def done(began: float):
        told = {"version": 1, BEGAN: MetadataValue.timestamp(began)}
        stored.report_runless_asset_event(AssetMaterialization("candidate_model", metadata=told))

    begun, before = begin_run(stored, "training_set"), time.time()
    assert "being built" in scheduled().skip_message
    rows = AssetMaterialization("training_set", partition="2026-01-18")
    stored.report_runless_asset_event(rows)
    stored.report_run_failed(begun)
    done(before)
    assert scheduled().run_key
    seen = stored.fetch_observations(AssetKey("candidate_model"), limit=1).records[0].storage_id
    assert tick(put_off_sensor, stored, str(seen)).run_key
    done(time.time())
    assert "newer than the last" in scheduled().skip_message
    assert "trained since" in tick(put_off_sensor, stored, str(seen)).skip_message


def test_the_schedule_asks_again_for_days_whose_runs_failed_for_good(here, stored):
    def asked(day: int) -> list[tuple[str, ...]]:
        at = datetime(2026, 1, day, 3, tzinfo=UTC)
        told = daily_schedule(build_schedule_context(stored, at))
        keys.update(request.run_key for request in told)
        return [tuple(request.tags.values()) for request in told if not request.partition_key]

    for day in DAYS:
        land(here, day)
    keys: set[str] = set()
    failed = tick(sensors.landing_sensor, stored)
    stored.report_runless_asset_event(AssetMaterialization("events", partition=str(DAYS[1])))
    assert tick(sensors.landing_sensor, stored, failed.cursor).run_requests == []
    some = [("2026-01-05", "2026-01-05"), ("2026-01-07", "2026-01-07")]
    assert asked(9) == some  # the day that ended last is asked for by itself
    assert asked(10) == [some[0], ("2026-01-07", "2026-01-08")]
    assert len(keys) == 6  # anew each day, for Dagster starts nothing for a key that it has seen
    run = create_run_for_test(stored, job_name="daily_ingest", status=DagsterRunStatus.STARTED)
    assert asked(10) == []
    stored.report_run_failed(run)
    for day in DAYS:
        stored.report_runless_asset_event(AssetMaterialization("events", partition=str(day)))
    assert asked(10) == []


def test_the_schedule_asks_for_a_day_that_was_not_read_to_the_end(here, tmp_path):
    def asked(instance: DagsterInstance, day: date):
        at = datetime(day.year, day.month, day.day, 3, tzinfo=UTC)
        return daily_schedule(build_schedule_context(instance, at))

    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        (told,) = asked(instance, date(2026, 1, 16))
        assert (told.partition_key, told.run_key) == ("2026-01-15", "2026-01-15")
        for table in ("events", "user_interest", "user_features"):
            read = AssetMaterialization(table, partition="2026-01-15")
            instance.report_runless_asset_event(read)
        # The run failed before the last of its tables.
        assert asked(instance, date(2026, 1, 16))[0].partition_key == "2026-01-15"
        last = AssetMaterialization("item_features", partition="2026-01-15")
        instance.report_runless_asset_event(last)
        assert "read when it landed" in asked(instance, date(2026, 1, 16)).skip_message
        assert "no day of this log" in asked(instance, date(2026, 3, 1)).skip_message
