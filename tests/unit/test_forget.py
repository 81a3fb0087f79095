"""A person is forgotten: their rows are gone wherever they lay, and come back by no way."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.online_redis import MARK, client_of
from exit_pipeline.ingest.shown import land_shown
from exit_pipeline.lake import Lake
from exit_pipeline.lake.aside import set_aside
from exit_pipeline.lake.duck import spill_folder
from exit_pipeline.privacy import Forgotten, forgotten
from exit_pipeline.privacy.forget import RECORD, forget
from exit_pipeline.privacy.logs import know_log
from exit_pipeline.privacy.online import remove_online
from exit_pipeline.privacy.tables import remove_rows
from exit_pipeline.registry.life import train
from exit_pipeline.validation.verdicts import failed_checks, failed_days, record
from tests.logs import EVENTS, PROFILE, SmallLog, at, event
from tests.unit.test_online import ask, builds, online

ZOE = {"user_id": "zoe"}
DAYS = {
    0: [event("a", at(0)), event("b", at(0), **ZOE),
        event("s", at(0, "09:00"), "click", domain="search", **ZOE)],
    1: [event("c", at(1)), event("d", at(1), **ZOE), event("x", at(1), domain="nowhere", **ZOE)],
    2: [event("e", at(2))],
}  # fmt: skip


def land(log: SmallLog) -> None:
    for day, rows in DAYS.items():
        log.land(day, rows)
    users = [*log.users, {"user_id": "zoe", "segment": "s1", "valid_from": at(-30)}]
    schema = pq.read_schema(log.lake.home.landing / "users/users.parquet")
    log.write("users/users.parquet", users, schema)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    small = SmallLog(tmp_path_factory.mktemp("log"), PROFILE + "landing: {broken_share: 1.0}\n")
    land(small)
    builds(small, 0, 2)
    online(small)
    return small


@pytest.fixture
def log(built, tmp_path):
    return built.copy(tmp_path)


def naming(log: SmallLog, who: str, but: set[str] = frozenset()) -> set[str]:
    """The folders of the home that have a Parquet file with a value in which the id stands."""
    root = log.lake.home.root
    files = (f for f in root.glob("**/*.parquet") if not but & {*f.parts})
    found = (f for f in files if who in str(pq.read_table(f).to_pylist()))
    return {"/".join(file.relative_to(root).parts[:2]) for file in found}


def features_in_file(log: SmallLog, who: str) -> int:
    """How many features sqlite's online store has of someone."""
    named = "select name from sqlite_master where type = 'table' and name like '%_user_%'"
    with sqlite3.connect(log.lake.home.feast / "online.db") as store:
        tables = [name for (name,) in store.execute(named)]
        said = "select count(*) from {} where instr(entity_key, ?)"
        return sum(store.execute(said.format(t), [who.encode()]).fetchone()[0] for t in tables)


def forgets(log: SmallLog, who: str = "zoe"):
    return forget(log.settings, log.lake.home, log.profile, who, "asked to")


def test_nothing_in_the_home_names_the_person(log):
    tables = {"events", "icl_labels", "impressions", "quarantine", "user_features",
              "user_interest", "users"}  # fmt: skip
    assert naming(log, "zoe") == {"landing/events", "landing/users", *(f"lake/{t}" for t in tables)}
    others = [row for row in log.rows("events") if row["user_id"] != "zoe"]
    stored = len(ask(log, "zoe", at(3))[0]["user_shown"].drop_null())
    deletion = forgets(log)
    newest = {place: n for place, n in deletion.removed.items() if "old files" not in place}
    assert newest.pop("online store") > stored == 1
    assert newest == {
        "landing": 5, "lake/events": 3, "lake/icl_labels": 2, "lake/impressions": 2,
        "lake/quarantine": 1, "lake/source_interest": 2, "lake/user_features": 3,
        "lake/user_interest": 1, "lake/users": 1,
    }  # fmt: skip
    assert naming(log, "zoe") == set()
    assert log.rows("events") == others
    assert not any(b"zoe" in f.read_bytes() for f in log.lake.home.feast.glob("online.db*"))
    assert ask(log, "zoe", at(3))[0]["user_shown"].to_pylist() == [None]


def test_an_id_that_someone_else_s_exposure_has_on_another_day_stays_theirs(tmp_path):
    """An id may come again once the lateness horizon is over."""
    log = SmallLog(tmp_path)
    again = {n: [] for n in range(13)}
    again |= {0: [event("e", at(0))], 9: [event("e", at(9), user_id="u2")]}
    log.run(again)
    before = log.rows("source_interest")
    assert [(row["ds"], row["event_id"]) for row in before] == [
        (at(0).date(), "e"),
        (at(9).date(), "e"),
    ]
    removed, broken = remove_rows(log.settings, log.lake, "u1")
    assert (removed["source_interest"], broken) == (1, {})
    assert log.rows("source_interest") == before[1:]


def test_a_home_that_moved_to_redis_forgets_there_and_in_its_file(log, redis):
    redis.empty()
    client = client_of(redis.address)
    log.settings = log.settings.model_copy(update={"redis": SecretStr(redis.address)})
    online(log)
    assert client.keys("*zoe*")
    others, in_file = ask(log, "u1", at(3))[0], features_in_file(log, "zoe")
    assert in_file > 1
    assert remove_online(log.settings, log.lake.home, "zoe") == 2 * in_file
    assert not client.keys("*zoe*")
    assert features_in_file(log, "zoe") == 0
    assert ask(log, "zoe", at(3))[0]["user_shown"].to_pylist() == [None]
    assert ask(log, "u1", at(3))[0].equals(others)


def test_nobody_is_deleted_from_a_redis_of_another_profile(log, redis):
    redis.empty()
    client_of(redis.address).set(MARK, "other of-late")
    settings = log.settings.model_copy(update={"redis": SecretStr(redis.address)})
    with pytest.raises(LakeError, match="is the profile other's, not small's"):
        remove_online(settings, log.lake.home, "zoe")


def test_what_is_left_is_what_ingestion_makes_of_it_without_them(log):
    forgets(log)
    version = log.lake.version("events")
    land(log)  # with the person, as an owner of raw files would
    reports = log.ingest(0, 2)
    assert [r.read for r in reports] == [1, 1, 1]
    assert all(r.balanced for r in reports)
    assert log.lake.version("events") == version
    assert "zoe" not in {row["user_id"] for row in log.rows("users")}


def test_versions_that_were_replaced_and_lakes_put_aside_do_not_hold_them_either(log):
    log.land(0, DAYS[0][:1])
    log.ingest(0, 0)
    assert naming(log, "zoe") >= {"lake/events"}
    set_aside(log.lake)
    land(log)
    builds(log, 0, 2)
    assert naming(log, "zoe") >= {"lake.before-1/events", "lake/events"}
    forgets(log)
    assert naming(log, "zoe") == set()


def damaged(file: Path, how: str) -> None:
    whole = file.read_bytes()
    pages = slice(4, 4 + len(whole) // 2)
    footer = slice(len(whole) - 40, len(whole) - 8)
    if how == "gone":
        file.unlink()
    elif how == "no end":
        file.write_bytes(whole[:-8])
    else:
        part = pages if how == "pages" else footer
        file.write_bytes(
            whole[: part.start] + b"\xff" * (part.stop - part.start) + whole[part.stop :]
        )


@pytest.mark.parametrize("how", ["no end", "footer", "pages", "gone"])
@pytest.mark.parametrize("table", ["impressions", "source_interest", "user_features"])
def test_a_damaged_file_of_a_table_is_told_and_stops_nothing(log, table, how):
    path = Path(log.lake.files(table, [("ds", "=", date(2026, 1, 5))])[0])
    whole = path.read_bytes()
    damaged(path, how)
    # Which rows of source_interest are theirs is told by impressions: both wait for both.
    waiting = {table} if table == "user_features" else {"impressions", "source_interest"}
    told = [note for note in forgets(log).notes if "may hold the person still" in note]
    assert {note.split()[0] for note in told} == {f"lake/{one}" for one in waiting}
    assert any(str(path) in note for note in told)
    assert naming(log, "zoe", waiting) == set()
    path.write_bytes(whole)
    again = forgets(log)
    assert not any("may hold the person still" in note for note in again.notes)
    assert {f"lake/{one}" for one in waiting} <= again.removed.keys()
    assert naming(log, "zoe") == set()


def test_what_fails_without_a_damaged_file_is_no_damage(log, monkeypatch):
    def failing(*_):
        raise duckdb.BinderException("no such column")

    monkeypatch.setattr("exit_pipeline.privacy.tables._newest", failing)
    with pytest.raises(duckdb.BinderException):
        forgets(log)


@pytest.mark.parametrize("how", ["no end", "footer"])
def test_a_damaged_file_that_no_table_lists_is_removed(log, how):
    (path,) = log.lake.files("impressions", [("ds", "=", date(2026, 1, 5))])
    left = Path(path).with_name("part-of-a-dead-writer.parquet")
    left.write_bytes(Path(path).read_bytes())
    damaged(left, how)
    assert not any("cannot be read" in note for note in forgets(log).notes)
    assert not left.exists()


def test_rows_of_others_in_raw_files_stay_as_they_are_and_in_their_order(log):
    rows = [event("f", at(2), user_id=None), *DAYS[0], event("g", at(0, "01:00"))]
    file = log.land(3, rows)
    forgets(log)
    kept = [(row["event_id"], row["user_id"]) for row in pq.read_table(file).to_pylist()]
    assert kept == [("f", None), ("a", "u1"), ("g", "u1")]
    assert pq.read_schema(file).equals(EVENTS)


@pytest.mark.parametrize(
    ("ids", "who"),
    [
        (pa.array([bytes(16), None, bytes(15) + b"z"], pa.uuid()), str(UUID(int=ord("z")))),
        (pa.array([11.0, None, 12.0]), "12"),
        (pa.array([11.0, None, 12.0]), "12.0"),
        (pa.array([11.5, None, 12.5]), "12.5"),
        (pa.array([11, None, 12]), "12"),
        (pa.array([Decimal("1.20"), None, Decimal("12.00")]), "12.00"),
        (pa.array(["u1", None, "zed"]).dictionary_encode(), "zed"),
        (pa.array([b"u1", None, b"zed"]), "zed"),
    ],
)
def test_raw_ids_are_told_by_the_text_that_ingestion_reads(log, ids, who):
    file = log.lake.home.landing / "raw's [1].parquet"
    pq.write_table(pa.table({"user_id": ids, "row": [0, 1, 2]}), file, row_group_size=2)
    schema = pq.read_schema(file)
    assert forgets(log, who).removed == {"landing": 1}
    assert pq.read_table(file)["row"].to_pylist() == [0, 1]
    assert pq.read_schema(file).equals(schema)


def test_an_id_that_is_text_is_no_number(log):
    file = log.lake.home.landing / "raw.parquet"
    pq.write_table(pa.table({"user_id": ["12.0", "012"]}), file)
    assert forgets(log, "12").removed == {}


def test_a_raw_file_that_cannot_be_read_is_named_and_stops_nothing(log):
    torn = log.lake.home.landing / "events/torn.parquet"
    pq.write_table(pa.table({"user_id": ["zoe"] * 100, "other": list(range(100))}), torn)
    whole = torn.read_bytes()
    begin = pq.read_metadata(torn).row_group(0).column(1).data_page_offset
    for damaged in (b"PAR1", whole[:begin] + bytes(40) + whole[begin + 40 :]):
        torn.write_bytes(damaged)
        assert "1 raw files or logs cannot be read" in forgets(log).notes[0]
        assert not list(torn.parent.glob(".*"))
    (log.lake.home.landing / "events/torn.parquet").unlink()
    assert naming(log, "zoe") == set()


def test_the_record_says_what_was_done_and_does_not_name_them(log):
    first, second, nobody = forgets(log), forgets(log), forgets(log, "no-such-person")
    assert (first.new, second.new, nobody.new) == (True, False, True)
    assert (second.removed, nobody.removed) == ({}, {})
    text = (log.lake.home.root / RECORD).read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["began"] for line in lines] == [True, False] * 3
    assert lines[1]["removed"] == first.removed
    assert {line["id"] for line in lines[:4]} == {Forgotten(log.lake.home).hash("zoe")}
    assert {line["reason"] for line in lines} == {"asked to"}
    for file in ("forgotten.json", RECORD):
        assert "zoe" not in (log.lake.home.root / file).read_text()


@pytest.mark.parametrize("dies_at", ["remove_from_parquet", "remove_online", "remove_from_models"])
def test_a_deletion_that_broke_off_goes_on(log, monkeypatch, dies_at):
    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"exit_pipeline.privacy.forget.{dies_at}", dies)
        with pytest.raises(KeyboardInterrupt):
            forgets(log)
    log.ingest(0, 2)  # a run between the two does not bring them back
    forgets(log)
    assert naming(log, "zoe") == set()
    assert ask(log, "zoe", at(3))[0]["user_shown"].to_pylist() == [None]


def test_one_table_after_another_may_be_the_last_before_a_kill(log, monkeypatch):
    whole, written = Lake.replace, []

    def dies_at_the_third(lake, connection, name, rows, days):
        written.append(name)
        if len(written) % 3 == 0:
            raise KeyboardInterrupt
        return whole(lake, connection, name, rows, days)

    monkeypatch.setattr(Lake, "replace", dies_at_the_third)
    deaths = 0
    while not (done := _tries(log)):
        deaths += 1
    assert deaths >= 3
    assert naming(log, "zoe") == set()
    # What hangs on impressions is told by them, so it goes first.
    assert written[0] == "source_interest"
    assert done


def _tries(log: SmallLog) -> bool:
    try:
        forgets(log)
    except KeyboardInterrupt:
        return False
    return True


def test_what_checks_said_of_days_holds_for_what_is_left(log):
    days, home = log.lake.days("impressions"), log.lake.home
    good, bad = date(2026, 1, 5), date(2026, 1, 6)
    record(home, "impressions", "great_expectations", {good: days[good]}, True)
    record(home, "impressions", "great_expectations", {bad: days[bad]}, False)
    forgets(log)
    assert log.lake.days("impressions")[good] != days[good]
    told = "impressions", "great_expectations"
    assert failed_days(log.lake, *told, good, bad) == [bad]
    assert "impressions:great_expectations on 2026-01-06" in failed_checks(
        log.lake, log.profile.spec
    )


def test_models_lose_the_word_and_keep_their_weights(log):
    folder = log.lake.home.mlflow / "artifacts/run/model"
    folder.mkdir(parents=True)
    told = {"encoder": {"vocabularies": {"user_id": ["u1", "zoe"], "unit": ["zoe"]}},
            "spec": {"id_dropout": 0.3}, "sha256": "of the weights"}  # fmt: skip
    (folder / "description.json").write_text(json.dumps(told))
    deletion = forgets(log)
    told["encoder"]["vocabularies"]["user_id"] = ["u1", "forgotten 1"]
    assert json.loads((folder / "description.json").read_text()) == told
    assert deletion.removed["models"] == 1
    assert "1 models learned from the id: train again, and promote that" in deletion.notes


@pytest.mark.parametrize(
    ("address", "told"),
    [("http://127.0.0.1:1", True), ("postgresql://127.0.0.1:1/mlflow", False), (None, False)],
)
def test_models_that_a_server_keeps_are_told(log, monkeypatch, address, told):
    if address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert any("MLFLOW_TRACKING_URI" in note for note in forgets(log).notes) is told


def test_what_a_service_showed_is_deleted_where_it_keeps_it(log, tmp_path):
    know_log(log.lake.home, tmp_path / "shown")
    folder = tmp_path / "shown/ds=2026-01-07"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(DAYS[0], EVENTS), folder / "rankings-1.parquet")
    (folder / "rankings-2.partial").write_bytes(b"half")
    assert forgets(log).removed[str(tmp_path / "shown")] == 2
    assert [f.name for f in folder.iterdir()] == ["rankings-1.parquet"]
    assert pq.read_table(folder / "rankings-1.parquet")["user_id"].to_pylist() == ["u1"]


def test_what_dead_processes_left_is_removed_and_what_live_ones_use_is_not(log):
    spill = log.lake.home.spill
    mine = Path(spill_folder(spill))
    pid, start, _ = mine.name.split("-")
    with log.lake.home.scratch() as scratch:
        earlier, dead = spill / f"{pid}-{int(start) - 1}-rows", spill / f"999999999-{start}-rows"
        for folder in (mine, earlier, dead, spill / "training", spill / f"{pid}-abc"):
            folder.mkdir()
        forgets(log)
        assert {one.name for one in spill.iterdir()} == {mine.name, scratch.name}


def test_pages_with_the_id_go_and_others_stay(log):
    docs = log.lake.home.reports / "data_docs/events"
    docs.mkdir(parents=True)
    (docs / "a.html").write_text("<td>user_id=zoe</td>")
    (docs / "b.html").write_text("<td>user_id=zoey</td>")
    assert forgets(log).removed["data docs"] == 1
    assert [page.name for page in docs.iterdir()] == ["b.html"]


def test_failures_whose_reason_names_them_go_and_others_stay(log):
    failures = log.lake.home.failures
    other, theirs = (json.dumps({"why": f"no number:\n{who}"}) for who in ("zoey", "zoe"))
    failures.write_text(f'{other}\n{theirs}\n{{"why": "zo')
    assert forgets(log).removed["failures"] == 2
    assert failures.read_text() == f"{other}\n"


def test_nobody_is_forgotten_while_a_service_writes(log, monkeypatch):
    monkeypatch.setattr(forgotten, "LOCK_SECONDS", 0)
    writing = pytest.raises(LakeError, match="a service or `land` is writing")
    with Forgotten(log.lake.home).letting_in(), writing:
        forgets(log)
    assert naming(log, "zoe")


def test_a_training_and_a_deletion_refuse_each_other(log, monkeypatch):
    monkeypatch.setattr(forgotten, "LOCK_SECONDS", 0)
    home = log.lake.home

    def trains(*_):
        with pytest.raises(LakeError, match="a training is going on"):
            forgets(log)
        raise KeyboardInterrupt

    def deletes(*_):
        with pytest.raises(LakeError, match="someone is being forgotten"):
            train(log.settings, log.lake, log.profile)
        raise KeyboardInterrupt

    monkeypatch.setattr("exit_pipeline.registry.life.Recipe.of", trains)
    with pytest.raises(KeyboardInterrupt):
        train(log.settings, Lake(home), log.profile)
    assert naming(log, "zoe")
    monkeypatch.setattr("exit_pipeline.privacy.forget.remove_online", deletes)
    with pytest.raises(KeyboardInterrupt):
        forgets(log)


def shown(folder, rows) -> None:
    day = folder / "ds=2026-01-07"
    day.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, EVENTS), day / "rankings-1.parquet")


def test_what_was_shown_to_them_lands_no_more_whatever_log_holds_it(log, tmp_path):
    forgets(log)
    shown(tmp_path / "of another home", DAYS[0])
    home, when = log.lake.home, at(3)
    rows = land_shown(log.settings, home, log.profile, tmp_path / "of another home", when)
    assert rows == {date(2026, 1, 7): 1}
    assert naming(log, "zoe") == set()


def test_nothing_lands_while_someone_is_put_on_the_list(log, tmp_path, monkeypatch):
    monkeypatch.setattr(forgotten, "LOCK_SECONDS", 0)
    shown(tmp_path / "log", DAYS[0])
    busy = pytest.raises(LakeError, match="someone is being forgotten")
    with Forgotten(log.lake.home).shutting_out(), busy:
        land_shown(log.settings, log.lake.home, log.profile, tmp_path / "log", at(3))
    assert not list(log.lake.home.landing.glob("**/*shown*"))


def test_what_a_dead_land_left_of_a_file_is_removed(log, monkeypatch):
    outside = log.root / "raw"
    monkeypatch.setattr("exit_pipeline.privacy.forget.landing_root", lambda *_: outside)
    left = [root / "events/ds=2026-01-07" for root in (log.lake.home.landing, outside)]
    for folder in left:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".shown.parquet.{os.getpid()}.partial").write_bytes(b"zoe")
    forgets(log)
    assert [file.name for folder in left for file in folder.glob(".*")] == []
