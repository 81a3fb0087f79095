"""Delta tables: what a day holds is known for ever, and a failed write changes nothing."""

from __future__ import annotations

import os
import time
from datetime import timedelta

from exit_pipeline.lake.table import CONFIGURATION
from tests.logs import DAY, SmallLog

CHECKPOINT = 100  # commits, after which delta-rs tidies the log


def test_days_and_versions_are_known_however_old(tmp_path, monkeypatch):
    for kept in ({}, dict(CONFIGURATION)):  # a table of before, and one of now
        monkeypatch.setattr("exit_pipeline.lake.table.CONFIGURATION", kept)
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
