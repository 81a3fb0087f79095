"""A lake in an object store: machines that share it, stores that are away, copies that follow."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from exit_pipeline.errors import LakeError, SettingsError
from exit_pipeline.feast_stores.source import DeltaSource
from exit_pipeline.lake import remote, table
from exit_pipeline.lake.aside import lakes_aside, set_aside
from exit_pipeline.lake.remote import MARK, Remote
from exit_pipeline.privacy.forget import forget
from exit_pipeline.settings import load_settings
from tests.logs import DAY, SmallLog, at, event

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def machine(s3, tmp_path, monkeypatch, request):
    """Makes logs on machines of their own, whose lake is the same."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EXIT_LAKE", f"s3://lakes/{request.node.name}")
    return lambda name: SmallLog(tmp_path / name)


def rows_of(log: SmallLog) -> list[tuple]:
    return sorted(tuple(row.values()) for row in log.rows("events"))


def test_what_one_machine_writes_another_reads(machine):
    one, other = machine("one"), machine("other")
    one.land(0, [event("a", at(0))])
    one.land(1, [event("b", at(1))])
    one.ingest(0, 1)
    assert other.lake.tables() == ["events", "items", "quarantine", "users"]
    assert rows_of(other) == rows_of(one)
    kept = {file: file.stat().st_ino for file in other.lake.every_file("events")}
    assert len(kept) == 2
    one.land(1, [event("b", at(1)), event("c", at(1, "12:30"))])
    one.ingest(1, 1)
    assert other.lake.days("events") == one.lake.days("events")
    assert [row["event_id"] for row in other.rows("events")] == ["a", "b", "c"]
    assert all(file.stat().st_ino == inode for file, inode in kept.items())  # fetched once
    assert other.lake.stored_rows("events", DAY) == 1
    assert other.lake.version("events") == one.lake.version("events")


def test_what_the_copy_lost_is_fetched_again(machine):
    log = machine("one")
    log.land(0, [event("a", at(0))])
    log.ingest(0, 0)
    before = rows_of(log)
    shutil.rmtree(log.lake.home.lake)
    assert rows_of(log) == before


def test_of_two_machines_that_write_a_day_at_once_only_one_does(machine, monkeypatch):
    logs = [machine("one"), machine("other")]
    for number, log in enumerate(logs):
        log.land(0, [event("a", at(0))])
        log.ingest(0, 0)
        log.land(0, [event("a", at(0)), event(f"of {number}", at(0, "12:30"))])
    before, both = logs[0].lake.version("events"), threading.Barrier(2)

    def at_once(where, *arguments, **named):
        opened = table.DeltaTable(where, storage_options=remote.options())
        both.wait(60)
        return write_deltalake(opened, *arguments, **named)

    def write(log):
        try:
            return log.ingest(0, 0)[0].stored
        except LakeError as error:
            return error.what

    with ThreadPoolExecutor(2) as threads:
        monkeypatch.setattr(table, "write_deltalake", at_once)
        told = list(threads.map(write, logs))
    refused = "another machine wrote 'events' meanwhile: nothing was written"
    assert sorted(told, key=str) == [2, refused]
    assert logs[0].lake.version("events") == before + 1
    assert [row["event_id"] for row in logs[0].rows("events")] == ["a", f"of {told.index(2)}"]
    monkeypatch.undo()


def test_of_two_machines_that_write_other_days_at_once_both_do(machine):
    logs = [machine("one"), machine("other")]
    logs[0].land(0, [event("z", at(0))])
    logs[0].ingest(0, 0)

    def replace(number):
        lake, connection = logs[number].lake, logs[number].connect()
        for step in range(3):
            day = DAY + timedelta(days=1 + number + 2 * step)
            connection.execute(
                f"create or replace temp table r as select date '{day}' as ds, 1 as x"
            )
            lake.replace(connection, "t", "r", [day])

    connection = logs[0].connect()
    connection.execute(f"create temp table r as select date '{DAY}' as ds, 1 as x")
    logs[0].lake.replace(connection, "t", "r", [DAY])
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(replace, range(2)))
    days = [DAY + timedelta(days=n) for n in range(7)]
    assert sorted(logs[0].lake.days("t")) == sorted(logs[1].lake.days("t")) == days
    assert all(logs[1].lake.stored_rows("t", day) == 1 for day in days)


def test_a_store_that_goes_away_leaves_everything_as_it_was(machine, monkeypatch):
    log = machine("one")
    log.land(0, [event("a", at(0))])
    log.ingest(0, 0)
    before = log.lake.days("events")
    log.land(0, [event("a", at(0)), event("b", at(0, "12:30"))])
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", NOWHERE)  # read by each write; reading goes on
        with pytest.raises(LakeError, match="the table 'events' could not be written"):
            log.ingest(0, 0)
    assert log.lake.days("events") == before
    assert log.ingest(0, 0)[0].stored == 2


def test_a_store_that_cannot_be_reached_is_named_with_its_setting(machine, monkeypatch):
    remote._store.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    with pytest.raises(LakeError, match="could not be read") as found:
        machine("one").lake.days("events")
    assert found.value.where.startswith("EXIT_LAKE, s3://lakes/")
    assert "AWS_ENDPOINT_URL" in found.value.mend
    remote._store.cache_clear()


def test_a_bucket_that_is_not_there_is_no_empty_lake(machine, monkeypatch):
    monkeypatch.setenv("EXIT_LAKE", "s3://nosuch/lake")
    with pytest.raises(LakeError, match="there is no bucket 'nosuch'"):
        machine("one").lake.exists("events")


def test_a_home_with_a_lake_of_its_own_is_not_mixed_with_another(machine, monkeypatch):
    shared = machine("shared")
    monkeypatch.setenv("EXIT_LAKE", "s3://lakes/elsewhere")
    with pytest.raises(
        LakeError, match=r"a copy of s3://lakes/test_\w+/small/lake, and EXIT_LAKE asks"
    ):
        machine("shared")
    monkeypatch.delenv("EXIT_LAKE")
    with pytest.raises(LakeError, match="and EXIT_LAKE is not set"):
        machine("shared")
    assert (shared.lake.home.lake / MARK).exists()
    own = machine("own")
    own.land(0, [event("a", at(0))])
    own.ingest(0, 0)
    monkeypatch.setenv("EXIT_LAKE", "s3://lakes/elsewhere")
    with pytest.raises(LakeError, match="a lake of its own"):
        machine("own")


def test_a_full_refresh_reaches_the_copies_and_keeps_what_was(machine):
    one, other = machine("one"), machine("other")
    one.land(0, [event("a", at(0))])
    one.ingest(0, 0)
    assert [row["event_id"] for row in other.rows("events")] == ["a"]
    time.sleep(1.1)  # a store tells times in seconds
    set_aside(one.lake)
    assert one.lake.tables() == other.lake.tables() == []
    one.land(0, [event("b", at(0))])
    one.ingest(0, 0)
    assert other.lake.version("events") == 0
    assert [row["event_id"] for row in other.rows("events")] == ["b"]
    (aside,) = lakes_aside(other.lake)
    assert pq.read_table(aside.files("events")[0])["event_id"].to_pylist() == ["a"]
    set_aside(one.lake)
    assert [one.home.lake.name for one in lakes_aside(other.lake)] == [
        "lake.before-1",
        "lake.before-2",
    ]


def test_a_commit_that_another_process_copied_meanwhile_is_no_other_table(machine, monkeypatch):
    log = machine("one")
    log.land(0, [event("a", at(0))])
    log.ingest(0, 0)
    older = log.lake.remote._log("events")
    log.land(1, [event("b", at(1))])
    log.ingest(1, 1)
    really, listed = Remote._log, []

    def listed_before(self, name):
        listed.append(name)
        return older if len(listed) == 1 else really(self, name)

    log.lake.folder("events")
    monkeypatch.setattr(Remote, "_log", listed_before)
    kept = [file.stat().st_ino for file in sorted(log.lake.folder("events").glob("_delta_log/0*"))]
    assert len(listed) == len(kept) == 2
    assert log.lake.version("events") == 1


def test_feast_follows_the_store_by_the_path_alone(machine):
    one, other = machine("one"), machine("other")
    one.land(0, [event("a", at(0))])
    one.ingest(0, 0)
    source = DeltaSource(name="events", path=str(other.lake.home.lake / "events"))
    assert len(source.files()) == 1
    one.land(1, [event("b", at(1))])
    one.ingest(1, 1)
    assert sum(pq.read_metadata(file).num_rows for file in source.files()) == 2


def test_a_person_is_deleted_from_the_store(machine, s3):
    log = machine("one")
    for more in ([], [event("b", at(0, "12:30"), user_id="zoe")]):  # an older file, and a newer
        log.land(0, [event("a", at(0), user_id="zoe"), event("x", at(0), user_id="u1"), *more])
        log.ingest(0, 0)
    forget(log.settings, log.lake.home, log.profile, "zoe", "asked to")
    store = pafs.S3FileSystem(endpoint_override=s3["AWS_ENDPOINT_URL"])
    place = log.lake.remote.url.removeprefix("s3://")
    every = store.get_file_info(pafs.FileSelector(place, recursive=True))
    found = [file.path for file in every if file.path.endswith(".parquet")]
    assert found
    assert not [f for f in found if "zoe" in str(pq.read_table(f, filesystem=store).to_pylist())]
    assert [row["user_id"] for row in log.rows("events")] == ["u1"]


@pytest.mark.parametrize("url", ["https://a/b", "s3://", "s3://Bucket", "s3://a/../b c", "a/b"])
def test_what_is_no_store_is_refused(url):
    with pytest.raises(SettingsError, match="EXIT_LAKE is not usable"):
        load_settings(lake=url)
