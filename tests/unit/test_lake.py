"""Delta tables: what a day holds is known for ever, and a failed write changes nothing."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from datetime import timedelta
from pathlib import Path

import pytest

from exit_pipeline.errors import LakeError
from exit_pipeline.lake.duck import create_table, open_duckdb
from exit_pipeline.lake.form import CONFIGURATION
from tests.logs import DAY, SmallLog, at, event

CHECKPOINT = 100  # commits, after which delta-rs tidies the log


def test_days_and_versions_are_known_however_old(tmp_path, monkeypatch):
    for kept in ({}, dict(CONFIGURATION)):  # a table of before, and one of now
        monkeypatch.setattr("exit_pipeline.lake.commit.CONFIGURATION", kept)
        log = SmallLog(tmp_path / str(len(kept)))
        lake, connection = log.lake, log.connect()
        old = time.time() - 60 * 86_400
        for number in range(CHECKPOINT + 2):
            day = DAY + timedelta(days=number % 3)
            connection.execute(
                f"create or replace temp table r as select date '{day}' as ds, {number} as x"
            )
            lake.replace(connection, "t", "r", [day])
            for file in (lake.folder("t") / "_delta_log").iterdir():
                os.utime(file, (old, old))
        assert sorted(lake.days("t")) == [DAY + timedelta(days=n) for n in range(3)]
        assert lake.open("t", 0).version() == 0


@pytest.mark.parametrize("limit", [20_000, 400])
def test_a_full_disk_leaves_everything_as_it_was_and_the_next_run_succeeds(tmp_path, limit):
    log = SmallLog(tmp_path)
    log.land(0, [event("a", at(0))])
    log.ingest(0, 0)
    before = log.lake.days("events")
    log.land(1, [event(f"e{n * 7919}", at(1), user_id=f"u{n}") for n in range(20_000)])
    process = multiprocessing.get_context("spawn").Process(target=fill, args=(tmp_path, limit))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert log.lake.days("events") == before
    assert len(log.rows("events")) == 1
    assert log.ingest(1, 1)[0].stored == 20_000


def fill(root: Path, limit: int) -> None:
    """Ingests day 1 where no file may grow beyond a size, as on a disk that fills up."""
    log = SmallLog(root)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises(LakeError, match="the disk is full") as found:
        log.ingest(1, 1)
    assert "--full-refresh" not in str(found.value)


def test_memory_that_runs_out_is_told_from_a_damaged_file(tmp_path):
    connection = open_duckdb("20MB", 1, tmp_path)
    values = {"rows": 2_000_000, "users": 50}
    connection.execute("set temp_directory = ''")
    with pytest.raises(LakeError, match="the memory limit is too small"):
        create_table(connection, "t", "bench_events", values)
    connection.execute(f"set temp_directory = '{tmp_path}'; set max_temp_directory_size = '1MB'")
    with pytest.raises(LakeError, match="the disk is full"):
        create_table(connection, "t", "bench_events", values)
