"""Bad input gets an error that says what, where and how to mend it; nothing is half done."""

from __future__ import annotations

import fcntl
import shutil
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exit_pipeline.errors import ContractError, LakeError, LandingError, NotMatureError
from exit_pipeline.ingest import landed_days
from exit_pipeline.labels import build_impressions, last_landed, last_mature, missing_day
from exit_pipeline.lake import table as lake_table
from tests.logs import DAY, EVENTS, ITEMS, PROFILE, SmallLog, at, event

ODD = ["it's", 'say "hi"', "a|b", "../../etc/passwd", "日本語", "x" * 10_000, "a;drop table b", " "]


def refused(log: SmallLog, day: int, kind: type, *words: str) -> None:
    """The day is refused with these words, and the tables stay as they were."""
    before = log.lake.days("events"), log.lake.days("quarantine")
    with pytest.raises(kind) as found:
        log.ingest(day, day)
    for word in (*words, "where:", "mend:"):
        assert word in str(found.value)
    assert (log.lake.days("events"), log.lake.days("quarantine")) == before


@pytest.fixture
def log(tmp_path):
    small = SmallLog(tmp_path)
    small.land(0, [event("a", at(0))])
    small.ingest(0, 0)
    return small


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all, but long enough to look"])
def test_a_file_that_is_empty_truncated_or_something_else(log, content):
    log.land(1, [event("b", at(1))]).write_bytes(content)
    refused(log, 1, LandingError, "not a readable Parquet file", "part-0.parquet")


def test_a_truncated_file(log):
    file = log.land(1, [event("b", at(1))])
    file.write_bytes(file.read_bytes()[:-20])
    refused(log, 1, LandingError, "not a readable Parquet file")


@pytest.mark.parametrize(("other", "words"), [
    (EVENTS.remove(EVENTS.get_field_index("place")), ("'place' is missing", "part-1")),
    (EVENTS.set(1, pa.field("ts", pa.timestamp("us"))), ("'ts' is timestamp[us]", "part-1")),
    (EVENTS.append(pa.field("filename", pa.string())), ("'filename' has a name", "part-1")),
], ids=["a column less", "no zone", "a reserved name"])  # fmt: skip
def test_files_of_one_day_have_the_same_columns(log, other, words):
    good = log.land(1, [event("b", at(1))])
    row = {name: value for name, value in event("c", at(1)).items() if name in other.names}
    pq.write_table(pa.Table.from_pylist([row], other), good.with_name("part-1.parquet"))
    refused(log, 1, ContractError, *words)


def test_a_column_that_is_null_in_one_file_has_no_type_there(log):
    good = log.land(1, [event("b", at(1), request_id="r")])
    nameless = EVENTS.set(EVENTS.get_field_index("request_id"), pa.field("request_id", pa.null()))
    pq.write_table(
        pa.Table.from_pylist([event("c", at(1))], nameless), good.with_name("part-1.parquet")
    )
    assert log.ingest(1, 1)[0].events == 2


@pytest.mark.parametrize("table", ["items", "users"])
def test_a_damaged_page_of_attributes(tmp_path, table):
    log = SmallLog(tmp_path)
    file = log.lake.home.landing / table / f"{table}.parquet"
    content = bytearray(file.read_bytes())
    content[4:60] = bytes(56)  # the first page; the footer stays whole
    file.write_bytes(bytes(content))
    log.land(0, [])
    with pytest.raises(LandingError, match=f"the landing files of '{table}' cannot be read"):
        log.ingest(0, 0)


@pytest.mark.parametrize(("change", "words"), [
    ({"price": float("nan")}, r"price is not finite \(1\)"),
    ({"price": float("-inf")}, r"price is not finite \(1\)"),
    ({"item_id": ""}, r"item_id is missing \(1\)"),
    ({"valid_from": None}, r"valid_from is missing \(1\)"),
])  # fmt: skip
def test_attributes_that_break_the_contract_are_counted_by_column(tmp_path, change, words):
    log = SmallLog(tmp_path, PROFILE.replace("items: {", "items: {price: {type: numeric}, "))
    schema = ITEMS.append(pa.field("price", pa.float64()))
    good = [item | {"price": None} for item in log.items]
    log.write("items/items.parquet", [*good, good[0] | {"valid_from": at(0)} | change], schema)
    log.land(0, [])
    with pytest.raises(ContractError, match=words):
        log.ingest(0, 0)
    assert not log.lake.exists("items")


def test_a_missing_day(log):
    refused(log, 4, LandingError, "no landing file", "2026-01-09")


@pytest.mark.parametrize("name", ["2026-13-01", "20260106", "__HIVE_DEFAULT_PARTITION__"])
def test_a_folder_that_names_no_day(log, name):
    good = log.land(1, [event("b", at(1))])
    odd = good.parent.with_name(f"ds={name}")
    shutil.copytree(good.parent, odd)
    refused(log, 1, LandingError, "names no day", odd.name)
    with pytest.raises(LandingError, match="names no day"):
        landed_days(log.profile, log.lake.home)
    odd.rename(odd.with_name("ds=2026-01-07.tmp"))  # still being written by another program
    assert log.ingest(1, 1)[0].events == 1
    assert landed_days(log.profile, log.lake.home) == [DAY, DAY + timedelta(days=1)]


def test_a_day_without_rows_is_a_day_without_events(log):
    log.land(1, [])
    (report,) = log.ingest(1, 1)
    assert (report.read, report.events) == (0, 0)


@pytest.mark.parametrize("column", ["event_id", "ts", "user_id", "domain", "place"])
def test_a_missing_column(log, column):
    schema = pa.schema([field for field in EVENTS if field.name != column])
    log.land(1, [{k: v for k, v in event("b", at(1)).items() if k != column}], schema)
    refused(log, 1, ContractError, f"column '{column}' is missing")


def test_a_wrong_type(log):
    schema = EVENTS.set(2, pa.field("user_id", pa.int64()))
    log.land(1, [event("b", at(1), user_id=7)], schema)
    refused(log, 1, ContractError, "'user_id' is BIGINT, not VARCHAR")


def test_a_row_number_that_may_not_fit(log):
    sql = "select * replace (hash(event_id) as row) from raw_events"
    (log.root / "profile" / "events.sql").write_text(sql)
    log.land(1, [event("b", at(1))])
    refused(log, 1, ContractError, "'row' is UBIGINT, not BIGINT", "cast the column")


def test_times_without_a_zone(log):
    schema = EVENTS.set(1, pa.field("ts", pa.timestamp("us")))
    log.land(1, [event("b", at(1).replace(tzinfo=None))], schema)
    refused(log, 1, ContractError, "no time zone", "at time zone 'UTC'")


def test_a_column_of_nulls(log):
    log.land(1, [event("b", at(1), user_id=None)])
    refused(log, 1, ContractError, "user_id_missing: 1", "nothing was changed")


def test_too_many_broken_rows_fail_the_day(log):
    rows = [event(f"b{n}", at(1)) for n in range(90)]
    log.land(1, rows + [event(f"x{n}", at(1), domain="x") for n in range(10)])
    refused(log, 1, ContractError, "10 of 100 rows", "unknown_domain: 10", "1.00%")


def test_odd_ids_are_kept_as_they_are(log):
    log.land(1, [event(f"e{n}", at(1), user_id=odd, item_id=odd) for n, odd in enumerate(ODD)])
    log.ingest(1, 1)
    found = {row["user_id"] for row in log.rows("events") if row["event_id"].startswith("e")}
    assert found == set(ODD)


def test_days_without_exposures_or_source_events_can_be_labelled(tmp_path):
    log = SmallLog(tmp_path)
    labels = log.run({
        0: [event("s", at(0), "click", domain="search")],
        1: [event("e", at(1))],
        2: [],
    })  # fmt: skip
    assert [(row["event_id"], row["ys_search"], row["ys_channel"]) for row in labels] == [
        ("e", 1, 0)
    ]


def test_an_immature_day_is_refused(log):
    with pytest.raises(NotMatureError, match="are not mature before 2026-01-06"):
        build_impressions(log.connect(), log.lake, log.profile, DAY, DAY)


def test_a_missing_day_holds_up_the_labels_before_and_after_it(log):
    rows = {0: [event("a", at(0, "23:00"))], 2: [event("b", at(2))], 3: [], 4: []}
    for day, events in rows.items():
        log.land(day, events)
        log.ingest(day, day)
    assert last_mature(log.lake, log.profile.spec) == DAY - timedelta(days=1)
    assert (missing_day(log.lake), last_landed(log.lake)) == (
        DAY + timedelta(days=1),
        DAY + timedelta(days=4),
    )
    with pytest.raises(NotMatureError, match="2026-01-06 is missing"):
        log.label(0, 2)
    log.land(1, [event("c", at(1, "22:00"), "click")])
    log.ingest(1, 1)
    assert [(row["event_id"], row["y"]) for row in log.label(0, 2)] == [("a", 1), ("b", 0)]


def test_a_log_without_source_events(tmp_path):
    log = SmallLog(tmp_path)
    rows = log.run({0: [event("e", at(0)), event("c", at(0, "13:00"), "click")], 1: [], 2: []})
    told = [
        (r["y"], r["ys_search"], r["ys_channel"], r["consistent_search"], r["icl"]) for r in rows
    ]
    assert told == [(1, 0, 0, 0, 1)]


def test_a_second_writer_waits_and_then_says_so(log, monkeypatch):
    monkeypatch.setattr(lake_table, "LOCK_SECONDS", 0.2)
    log.land(1, [event("b", at(1))])
    lock = log.lake.home.lake / ".locks" / "quarantine"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(log, 1, LakeError, "another run has been writing")
    log.ingest(1, 1)


def test_an_adapter_that_does_not_run(tmp_path):
    log = SmallLog(tmp_path)
    (tmp_path / "profile" / "events.sql").write_text("select nosuch from raw_events")
    log.land(0, [event("a", at(0))])
    with pytest.raises(ContractError, match="nosuch"):
        log.ingest(0, 0)


def test_a_profile_with_a_typo(tmp_path):
    from exit_pipeline.errors import ProfileError

    with pytest.raises(ProfileError, match="line 5: sorces: unknown key; did you mean 'sources'"):
        SmallLog(tmp_path, PROFILE.replace("sources:", "sorces:"))


def test_times_as_pandas_writes_them_are_taken(tmp_path):
    log = SmallLog(tmp_path)
    rows = pa.Table.from_pylist([event("e", at(0))], EVENTS)
    nanoseconds = pa.timestamp("ns", "UTC")
    log.land(0, rows.to_pylist(), EVENTS.set(1, pa.field("ts", nanoseconds)))
    log.ingest(0, 0)
    (row,) = log.rows("events")
    assert row["ts"] == at(0)
