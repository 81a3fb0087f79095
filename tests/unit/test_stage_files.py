"""A stage alone: files however they lie give the tables that the lake gives."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from exit_pipeline.errors import ContractError, LakeError, UsageError
from exit_pipeline.stage_files import stage_files
from exit_pipeline.stages import STAGES, build_stage
from tests.logs import DAY, EVENTS, PROFILE, SmallLog, at, event, give_deletion_vectors

LENIENT = PROFILE + "landing: {broken_share: 1.0}\n"
LANDED = {
    0: [event("s", at(0), "click", domain="search"), event("e", at(0, "13:00"))],
    1: [event("o", at(1, "11:00"), "order", value=19.99), event("f", at(1)), event("f", at(1))],
    2: [event("late", at(1, "13:00"), "order", value=0.01), event("g", at(2))],
    3: [],
}


@pytest.fixture
def log(tmp_path):
    return SmallLog(tmp_path / "log", LENIENT)


def alone(log: SmallLog, events: Path, out: str = "out") -> tuple[dict, list[dict]]:
    landing = log.lake.home.landing
    inputs = {"events": events, "items": landing / "items", "users": landing / "users"}
    folder = log.root.parent / out
    summary = stage_files("labels", log.settings, log.profile, inputs, folder)
    files = sorted(folder.glob("*.parquet"))
    labels = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert summary["rows"] == len(labels)
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    return summary, sorted(labels, key=lambda row: row["event_id"])


def write(file: Path, rows: list[dict]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, EVENTS), file)
    return file


def in_lake(log: SmallLog) -> list[dict]:
    rows = log.run(LANDED)
    return sorted(rows, key=lambda row: row["event_id"])


def test_the_lakes_own_events(log):
    expected = in_lake(log)
    summary, labels = alone(log, log.lake.folder("events"))
    assert labels == expected
    assert {row["event_id"]: row["value"] for row in labels} == {"e": 1999, "f": 1, "g": 0}
    assert (summary["events"], summary["duplicates"], summary["missing_day"]) == (6, 0, None)


@pytest.mark.parametrize("below", ["", "hour=3", "deep/er"])
def test_files_below_the_folders_of_days_under_parents_that_look_like_days(log, below):
    expected, root = in_lake(log), log.root.parent / "ds=2020-01-01" / "user_id=zzz"
    for day, rows in LANDED.items():
        write(root / f"ds={DAY + timedelta(days=day)}" / below / "p.parquet", rows)
    summary, labels = alone(log, root)
    assert labels == expected
    assert (summary["read"], summary["duplicates"]) == (7, 1)


@pytest.mark.parametrize("name", ["events.parquet", "events.pq"])
def test_a_single_file_whatever_folder_it_lies_in(log, name):
    expected = in_lake(log)
    rows = [row for rows in LANDED.values() for row in rows] + [event("h", at(3))]
    _, labels = alone(log, write(log.root.parent / "ds=2020-01-01" / name, rows))
    assert labels == expected


def test_files_of_which_only_some_lie_by_day_are_refused(log):
    root = log.root.parent / "mixed"
    write(root / f"ds={DAY}" / "p.parquet", LANDED[0])
    write(root / "more.parquet", LANDED[1])
    with pytest.raises(UsageError, match="and others do not"):
        alone(log, root)


def test_a_delta_table_whose_files_hold_deleted_rows_is_refused(log):
    table = log.root.parent / "table"
    write_deltalake(str(table), pa.Table.from_pylist(LANDED[0], EVENTS))
    give_deletion_vectors(table)
    with pytest.raises(LakeError, match="deletion vectors") as found:
        alone(log, table)
    assert (found.value.where, "purge" in found.value.mend) == (str(table), True)


@pytest.mark.parametrize("by", [None, ["ds"]], ids=["undated", "by day"])
def test_a_column_that_was_added_to_a_delta_table_is_null_before(log, by):
    expected = in_lake(log)
    table = log.root.parent / "table"
    for day, rows in LANDED.items():
        schema = EVENTS if day else EVENTS.remove(EVENTS.get_field_index("request_id"))
        found = pa.Table.from_pylist(rows, schema)
        if by:
            days = pa.array([DAY + timedelta(days=day)] * len(rows), pa.date32())
            found = found.append_column("ds", days)
        write_deltalake(str(table), found, mode="append", schema_mode="merge", partition_by=by)
    _, labels = alone(log, table)
    assert labels == expected[: len(labels)]
    assert labels


def test_a_file_that_does_not_fit_is_told_by_its_own_name(log):
    root = log.root.parent / "files"
    write(root / "a.parquet", LANDED[0])
    fewer = pa.Table.from_pylist(LANDED[1], EVENTS).drop_columns("place")
    pq.write_table(fewer, root / "b.parquet")
    with pytest.raises(ContractError, match="'place' is missing") as found:
        alone(log, root)
    assert found.value.where == str(root / "b.parquet")


def test_a_missing_folder_ends_the_labels(log):
    root = log.root.parent / "gap"
    for day, rows in LANDED.items():
        if day != 2:
            write(root / f"ds={DAY + timedelta(days=day)}" / "p.parquet", rows)
    summary, labels = alone(log, root)
    assert summary["missing_day"] == "2026-01-07"
    assert [row["event_id"] for row in labels] == ["e"]


def test_rows_without_a_time_or_years_off_mature_nothing_and_are_counted(log):
    rows = [row for rows in LANDED.values() for row in rows]
    odd = [
        event("never", None),
        event("epoch", datetime(1970, 1, 1, tzinfo=UTC)),
        event("ahead", at(3000)),
    ]
    summary, labels = alone(log, write(log.root.parent / "events.parquet", rows + odd))
    assert [row["event_id"] for row in labels] == ["e", "f"]  # day 2 is the last: not mature
    assert summary["quarantine"] == {"ts_missing": 1, "too_late": 1, "ts_in_future": 1}
    assert summary["read"] == summary["events"] + summary["duplicates"] + 3 == 10


def test_quiet_days_are_days_without_events(log):
    rows = [event("e", at(0)), event("f", at(6))]
    summary, labels = alone(log, write(log.root.parent / "events.parquet", rows))
    assert [row["event_id"] for row in labels] == ["e"]
    assert summary["missing_day"] is None


def test_an_output_that_is_there_already(log):
    file = write(log.root.parent / "events.parquet", LANDED[0])
    for out in ("events.parquet", "log"):
        with pytest.raises(UsageError, match="a file, or a folder that is not empty"):
            alone(log, file, out)


@pytest.mark.parametrize("name", [".", "linked"])
def test_an_empty_folder_that_is_there_is_filled(log, monkeypatch, name):
    file, here = write(log.root.parent / "events.parquet", LANDED[0]), log.root.parent / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    if name == "linked":
        (here.parent / "elsewhere").mkdir()
        (here / name).symlink_to(here.parent / "elsewhere")
    landing = log.lake.home.landing
    inputs = {"events": file, "items": landing / "items", "users": landing / "users"}
    stage_files("features", log.settings, log.profile, inputs, Path(name))
    assert list(Path(name).glob("*.parquet"))
    assert [*here.glob(".*"), *here.parent.glob(".*")] == []


def test_what_a_killed_call_left_is_cleaned_up(log):
    left = log.root.parent / ".out.scratch" / "home" / "lake"
    shutil.copytree(log.root, left)
    alone(log, write(log.root.parent / "events.parquet", LANDED[0]))
    assert not left.exists()


@pytest.mark.parametrize("stage", ["features", "training-set"])
def test_features_and_training_rows_are_the_lakes(log, stage):
    in_lake(log)
    build_stage(stage, log.connect(), log.settings, log.lake, log.profile, DAY)
    inputs = {name: log.lake.home.landing / name for name in ("items", "users")}
    inputs["events"] = log.lake.folder("events")
    out = log.root.parent / "out"
    summary = stage_files(stage, log.settings, log.profile, inputs, out)
    found = {table: [] for table in STAGES[stage]}
    for file in sorted(out.glob("*.parquet")):
        found[file.name.rsplit("-", 3)[0]] += pq.read_table(file).to_pylist()
    assert summary["rows"] == sum(map(len, found.values()))
    for table, rows in found.items():
        expected = log.rows(table)
        assert rows
        assert sorted(rows, key=str) == sorted(expected, key=str)
