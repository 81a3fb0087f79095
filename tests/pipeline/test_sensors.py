"""What the sensors ask for, ticked on a home of their own."""

from __future__ import annotations

import os
from datetime import date

import pytest
from dagster import DagsterInstance, SensorResult, build_sensor_context

from assets import sensors
from assets.definitions import defs
from assets.resources import Pipeline
from exit_pipeline.settings import load_settings

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


def test_a_day_still_being_written_and_a_day_of_another_log_wait(here, instance, monkeypatch):
    monkeypatch.setattr(sensors.time, "time", lambda: 1e9 + 30)
    land(here, DAYS[0])
    land(here, DAYS[1], at=1e9 - 60)
    land(here, date(2025, 12, 31), at=1e9 - 60)
    told = tick(sensors.landing_sensor, instance)
    assert ranges(told) == [("2026-01-06", "2026-01-06")]
    monkeypatch.setattr(sensors.time, "time", lambda: 1e9 + 61)
    assert ranges(tick(sensors.landing_sensor, instance, told.cursor)) == [
        ("2026-01-05", "2026-01-05")
    ]


def test_a_tick_looks_at_a_bounded_number_of_days(here, instance, monkeypatch):
    monkeypatch.setattr(sensors, "DAYS_A_TICK", 3)
    for day in DAYS:
        land(here, day)
    told = tick(sensors.landing_sensor, instance)
    assert ranges(told) == [("2026-01-05", "2026-01-07")]
    assert ranges(tick(sensors.landing_sensor, instance, told.cursor)) == [
        ("2026-01-08", "2026-01-08")
    ]
