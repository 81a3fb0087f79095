"""A lake in an object store: machines that share it, stores that are away, copies that follow."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from exit_pipeline.errors import LakeError, SettingsError, UsageError
from exit_pipeline.feast_stores.source import DeltaSource
from exit_pipeline.lake import Lake, commit, remote
from exit_pipeline.lake.aside import other_lakes, set_aside
from exit_pipeline.lake.remote import address
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

    def at_once(*arguments, **named):
        both.wait(60)
        return write_deltalake(*arguments, **named)

    def write(log):
        try:
            return log.ingest(0, 0)[0].stored
        except LakeError as error:
            return error.what

    with ThreadPoolExecutor(2) as threads:
        monkeypatch.setattr(commit, "write_deltalake", at_once)
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


def test_of_two_machines_that_make_a_table_at_once_one_at_most_does(machine, monkeypatch):
    logs, both = [machine("one"), machine("other")], threading.Barrier(2)
    create = DeltaTable.create

    def at_once(*arguments, **named):
        both.wait(60)
        return create(*arguments, **named)

    def replace(number):
        connection = logs[number].connect()
        rows = f"select date '{DAY}' as ds, range as x from range({number + 2})"
        connection.execute(f"create temp table r as {rows}")
        try:
            return logs[number].lake.replace(connection, "t", "r", [DAY])[DAY].rows
        except LakeError as error:
            return error.what

    with ThreadPoolExecutor(2) as threads, monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "create", at_once)
        told = list(threads.map(replace, range(2)))
    refused = [one for one in told if not isinstance(one, int)]
    assert refused
    assert set(refused) == {"another machine wrote 't' meanwhile: nothing was written"}
    assert replace(1) == 3
    assert logs[0].lake.stored_rows("t", DAY) == logs[0].lake.days("t")[DAY].rows == 3


def test_what_another_machine_wrote_since_we_looked_is_not_written_over(machine, monkeypatch):
    one, other = machine("one"), machine("other")
    days, since = Lake.days, []
    connection = one.connect()
    connection.execute(f"create temp table r as select date '{DAY}' as ds, 1 as x")
    one.lake.replace(connection, "t", "r", [DAY])

    def write_meanwhile(self, name):
        found = days(self, name)
        if not since:
            since.append(name)
            connection = other.connect()
            connection.execute(f"create temp table r as select date '{DAY}' as ds, 2 as x")
            other.lake.replace(connection, name, "r", [DAY])
        return found

    monkeypatch.setattr(Lake, "days", write_meanwhile)
    connection.execute(f"create or replace temp table r as select date '{DAY}' as ds, 3 as x")
    with pytest.raises(LakeError, match="another machine wrote"):
        one.lake.replace(connection, "t", "r", [DAY])
    assert pq.read_table(one.lake.files("t")[0])["x"].to_pylist() == [2]


def test_a_home_goes_back_to_the_lake_of_its_own(machine, monkeypatch):
    shared = machine("one")
    shared.land(0, [event("a", at(0))])
    shared.ingest(0, 0)
    monkeypatch.delenv("EXIT_LAKE")
    own = machine("one")
    assert own.lake.tables() == []
    own.land(0, [event("b", at(0))])
    own.ingest(0, 0)
    assert [row["event_id"] for row in own.rows("events")] == ["b"]
    assert [row["event_id"] for row in shared.rows("events")] == ["a"]
    assert [lake.home.lake for lake in other_lakes(shared.lake)] == [own.lake.home.lake]


def test_a_full_refresh_wants_another_place(machine):
    log = machine("one")
    with pytest.raises(UsageError, match="not put aside") as found:
        set_aside(log.lake)
    assert "name another place in EXIT_LAKE" in found.value.mend


def test_a_place_that_was_emptied_and_filled_again_is_copied_anew(machine, s3):
    one, other = machine("one"), machine("other")
    one.land(0, [event("a", at(0))])
    one.ingest(0, 0)
    assert [row["event_id"] for row in other.rows("events")] == ["a"]
    time.sleep(1.1)  # a store tells times in seconds
    store = pafs.S3FileSystem(endpoint_override=s3["AWS_ENDPOINT_URL"])
    store.delete_dir(address(one.lake.home.lake).removeprefix("s3://"))
    one.land(0, [event("b", at(0))])
    one.ingest(0, 0)
    assert other.lake.version("events") == 1
    assert [row["event_id"] for row in other.rows("events")] == ["b"]


def test_readers_of_one_copy_do_not_disturb_each_other(machine):
    log, reader = machine("one"), machine("other")
    for number in range(4):
        log.land(number, [event(f"e{number}", at(number))])
        log.ingest(number, number)
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda _: (reader.lake.version("events"), rows_of(reader)), range(16))
        assert {(version, len(rows)) for version, rows in found} == {(4, 4)}
    assert not list(reader.lake.home.copies.rglob(".fetching-*"))


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
    place = address(log.lake.home.lake).removeprefix("s3://")
    every = store.get_file_info(pafs.FileSelector(place, recursive=True))
    found = [file.path for file in every if file.path.endswith(".parquet")]
    assert found
    assert not [f for f in found if "zoe" in str(pq.read_table(f, filesystem=store).to_pylist())]
    assert not log.lake.home.copies.exists()  # they held the person, too
    assert [row["user_id"] for row in log.rows("events")] == ["u1"]


def test_a_damaged_copy_is_not_held_against_the_store(machine):
    log = machine("one")
    for more in ([], [event("b", at(0, "12:30"))]):
        log.land(0, [event("a", at(0)), *more])
        log.ingest(0, 0)
    older = log.lake.files("events", version=1)[0]
    Path(older).write_bytes(b"PAR1")
    forget(log.settings, log.lake.home, log.profile, "nobody", "asked to")
    assert pq.read_table(log.lake.files("events", version=1)[0]).num_rows == 1


@pytest.mark.parametrize(
    "url",
    ["https://a/b", "s3://", "s3://Bucket", "s3://aa/../b", "s3://aa/./b", "s3://aa/b c", "a/b"],
)
def test_what_is_no_store_is_refused(url):
    with pytest.raises(SettingsError, match=r"EXIT_LAKE is not usable.*write s3://bucket/path"):
        load_settings(lake=url)


def test_a_key_in_the_url_is_not_shown():
    with pytest.raises(SettingsError) as found:
        load_settings(lake="s3://key:hush@bucket")
    assert "hush" not in str(found.value)


def test_a_slash_at_the_end_is_nothing():
    assert load_settings(lake="s3://lakes/a/").lake == "s3://lakes/a"
    assert load_settings(lake="").home_of("p").lake.name == "lake"
