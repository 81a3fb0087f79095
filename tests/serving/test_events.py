"""What is pushed is what the daily batch will write, seen when training would see it, once."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.repo import online_identity, open_store
from exit_pipeline.privacy.files import remove_from_lines
from exit_pipeline.ranking.rows import UserReader, online_rows
from exit_pipeline.serving import journal
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.events import event_table, events_model
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.pushes import Pushes
from exit_pipeline.serving.service import Options
from tests.logs import SmallLog, at, event
from tests.serving.conftest import ask
from tests.unit.test_online import builds, lose, online

SCENE = {"hour_band": "day", "day_kind": "weekday", "place": "home"}
HISTORY = {
    0: [event("a", at(0)), event("s0", at(0, "09:00"), "click", domain="search")],
    1: [event("b", at(1)), event("s1", at(1, "20:00"), "click", domain="search", item_id="i3"),
        event("old", at(0, "11:00"), "click", domain="channel", item_id="i5")],
}  # fmt: skip
# Out of order, of three domains, with a response in the target and one that shows no interest.
TODAY = [
    event("p1", at(2, "08:00"), "click", domain="search", item_id="i5"),
    event("p2", at(2, "10:00"), "order", domain="channel", item_id="i3", value=3.5),
    event("p3", at(2, "09:00"), "click", domain="search", item_id="i1"),
    event("p4", at(2, "09:30"), "impression", item_id="i2"),
    event("p5", at(2, "09:31"), "click", item_id="i2", request_id="r"),
    event("p6", at(2, "09:40"), "click", domain="search", item_id="i7", user_id="u2"),
    event("p7", at(2, "00:00"), "click", domain="search", item_id="nosuch"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    small = SmallLog(tmp_path_factory.mktemp("log"))
    for day, rows in HISTORY.items():
        small.land(day, rows)
    builds(small, 0, 1)
    return small


@pytest.fixture
def log(built, tmp_path, kept_in):
    small = built.copy(tmp_path)
    small.settings = small.settings.model_copy(update=kept_in)
    online(small)
    return small


def pushes(log: SmallLog) -> Pushes:
    return Pushes(log.settings, log.lake, log.profile, Metrics())


def rows_of(log: SmallLog, rows: list[dict]) -> list[Any]:
    texts = [{k: v.isoformat() if k == "ts" else v for k, v in row.items()} for row in rows]
    return events_model(log.profile.spec).model_validate({"events": texts}).events


def push(log: SmallLog, taker: Pushes, rows: list[dict], now: datetime) -> dict:
    return taker.take(rows_of(log, rows), now)


def seen(log: SmallLog, now: datetime, user: str = "u1") -> pa.RecordBatch:
    store = open_store(log.settings, log.lake.home)
    spec = log.profile.spec
    known = UserReader(store, spec)(user, now)
    return online_rows(store, spec, known, ["i1", "i3", "i5"], SCENE, now)[0]


def test_pushed_one_by_one_equals_the_daily_batch(log):
    taker, later = pushes(log), at(2, "14:00")
    for row in TODAY:
        assert push(log, taker, [row], at(2, "11:00"))["accepted"] == 1
        taker.bring(at(2, "11:00"))
    pushed = [seen(log, later, user) for user in ("u1", "u2")]
    assert pushed[0]["search_units"].to_pylist()[0] == ["c1", "c3", "c2"]
    assert pushed[0]["feed_units"].to_pylist()[0] == ["c1"]
    log.land(2, TODAY)
    log.ingest(2, 2)
    rebuilt(log)
    for user, was in zip(("u1", "u2"), pushed, strict=True):
        now = seen(log, later, user)
        states = [
            n for n in was.schema.names if n.split("_")[0] in ("state", "feed", "search", "channel")
        ]
        assert was.select(states).equals(now.select(states))
        assert was["channel_decayed"] == now["channel_decayed"]


def rebuilt(log: SmallLog) -> None:
    """The batch's rows, in a store that never saw a push."""
    lose(log)
    builds(log, 0, 2)
    online(log)


def test_an_event_is_seen_when_training_would_see_it(log):
    taker, lag = pushes(log), timedelta(minutes=5)
    before, happened = at(2, "09:00"), at(2, "10:00")
    first = event("x", before, "click", domain="search", item_id="i5")
    second = event("y", happened, "click", domain="search", item_id="i7")
    push(log, taker, [first, second], happened)
    assert taker.bring(happened) == 1
    assert seen(log, happened)["search_units"][0].as_py()[0] == "c3"
    early = happened + lag - timedelta(microseconds=1)
    assert taker.bring(early) == 0
    assert seen(log, early)["search_units"][0].as_py()[0] == "c3"
    assert taker.bring(happened + lag) == 1
    assert seen(log, happened + lag)["search_units"][0].as_py()[0] == "c4"
    assert taker.bring(happened + lag) == 0


def test_a_repeat_changes_nothing_whoever_took_it_in(log):
    taker, now = pushes(log), at(2, "11:00")
    row = event("x", at(2, "10:00"), "click", domain="search", item_id="i5")
    assert push(log, taker, [row, row], now)["repeated"] == 1
    taker.bring(now)
    was = seen(log, now)
    again = pushes(log)  # another process
    assert push(log, again, [row | {"item_id": "i7"}], now) == {
        "accepted": 0, "repeated": 1, "refused": [], "lag_seconds": 300.0}  # fmt: skip
    again.bring(now)
    assert seen(log, now).equals(was)


def test_late_and_future_events_are_refused_each_with_its_reason(log):
    taker, us = pushes(log), timedelta(microseconds=1)
    closes = at(2, "00:05")  # the second day's snapshot is due a lag after its end
    rows = [event("late", at(1, "23:59")), event("now", closes), event("ahead", closes + us)]
    told = push(log, taker, rows, closes)
    assert (told["accepted"], told["refused"]) == (
        1, [{"index": 0, "event_id": "late", "reason": "late"},
            {"index": 2, "event_id": "ahead", "reason": "future"}])  # fmt: skip
    assert push(log, taker, rows[:1], closes - us)["accepted"] == 1


def test_what_was_taken_in_survives_the_process_and_lines_half_written(log):
    push(log, pushes(log), TODAY[:1], at(2, "11:00"))
    (file,) = log.lake.home.pushed.glob("ds=2026-01-07/*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"event_id": "torn", "ts"')
    again = pushes(log)
    assert again.bring(at(2, "11:00")) == 1
    assert seen(log, at(2, "11:00"))["search_units"][0].as_py() == ["c3", "c2", "c1"]


def test_a_write_that_fails_half_way_takes_nothing_in_and_stops_nothing(log, monkeypatch):
    taker, now = pushes(log), at(2, "11:00")

    def full(file: Path) -> None:
        os.truncate(file, file.stat().st_size - 10)
        raise OSError(ENOSPC, "No space left on device")

    push(log, taker, TODAY[:1], now)
    with monkeypatch.context() as disk:
        disk.setattr(journal, "to_disk", full)
        with pytest.raises(OSError, match="No space"):
            push(log, taker, TODAY[2:3], now)
    (file,) = log.lake.home.pushed.glob("ds=2026-01-07/*.jsonl")
    assert len(file.read_bytes().splitlines()) == 1
    assert push(log, taker, TODAY[2:3], now)["accepted"] == 1
    assert taker.bring(now) == 1
    assert pushes(log).bring(now) == 1


def test_broken_lines_are_left_out_and_counted_and_forgetting_removes_them(log):
    now = at(2, "11:00")
    push(log, pushes(log), TODAY, now)
    (file,) = log.lake.home.pushed.glob("ds=2026-01-07/*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2:2] = [b'{"event_id": "torn", "ts"' + lines[0], b"\x00\x00\n", b'{"event_id": 5}\n']
    file.write_bytes(b"".join(lines))
    again = pushes(log)
    assert again.bring(now) == 2
    assert again.metrics.broken_lines._value.get() == 3
    assert push(log, again, TODAY, now)["repeated"] == len(TODAY)
    assert remove_from_lines([file], "u2") == 1
    assert len(file.read_bytes().splitlines()) == len(TODAY) - 1


def test_a_day_that_landed_is_let_go_and_counts_once(log):
    taker = pushes(log)
    push(log, taker, TODAY, at(2, "11:00"))
    log.land(2, TODAY)
    log.ingest(2, 2)
    push(
        log,
        taker,
        [event("q", at(3, "08:00"), "click", domain="search", item_id="i5")],
        at(3, "09:00"),
    )
    assert [f.name for f in log.lake.home.pushed.glob("ds=*")] == ["ds=2026-01-08"]
    taker.bring(at(3, "09:00"))
    assert dict(zip(*(seen(log, at(3, "09:00"))[f"search_{n}"][0].as_py() for n in ("units", "counts")),
                    strict=True)) == {"c3": 2, "c1": 2, "c2": 1}  # fmt: skip


def test_a_store_that_is_lost_gets_what_was_pushed_once_more(log):
    taker, now = pushes(log), at(2, "11:00")
    push(log, taker, TODAY, now)
    taker.bring(now)
    was = seen(log, now)
    lose(log)
    with pytest.raises(LakeError, match="gone"):
        taker.bring(now)
    assert online_identity(log.settings, log.lake.home) is None
    online(log)
    assert taker.bring(now) == 2
    assert seen(log, now).equals(was)


def test_the_route_takes_events_and_a_ranking_shows_them(home, monkeypatch):
    from exit_pipeline.serving import service as module

    noon = datetime(2026, 1, 16, 12, tzinfo=UTC)  # the log ends the day before

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return noon

    monkeypatch.setattr(module, "datetime", Clock)
    body = {"event_id": "e1", "ts": "2026-01-16T11:50:00+00:00", "user_id": "u0000001",
            "item_id": "i000003", "domain": "search", "event_type": "click"}  # fmt: skip
    service = home.service(Options(clock="now"))
    with TestClient(make_app(service)) as client:
        before = ask(client, k=1).json()["features_as_of"]
        told = client.post("/v1/events", json={"events": [body, body]})
        assert (told.status_code, told.json()["accepted"], told.json()["repeated"]) == (200, 1, 1)
        service.pushes.threads.submit(service.pushes.bring, noon).result()
        after = ask(client, k=1).json()
        assert before < after["features_as_of"] == "2026-01-16T11:50:00Z"
        lines = client.get("/metrics").text.splitlines()
        assert any(line.startswith('exit_events_total{outcome="accepted"}') for line in lines)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"domain": "mail"}, "body.events.0.domain"),
        ({"event_type": "view"}, "body.events.0.event_type"),
        ({"place": "moon"}, "body.events.0.place"),
        ({"ts": 5}, "body.events.0.ts"),
        ({"ts": "2026-01-16T11:50:00"}, "body.events.0.ts"),
        ({"value": -1.0}, "body.events.0.value"),
        ({"user_id": ""}, "body.events.0.user_id"),
        ({"ds": "2026-01-16"}, "body.events.0.ds"),
    ],
)
def test_a_row_that_breaks_the_contract_is_refused_with_its_place(client, change, where):
    row = {"event_id": "e", "ts": "2026-01-16T11:50:00Z", "user_id": "u", "item_id": "i",
           "domain": "search", "event_type": "click"} | change  # fmt: skip
    answer = client.post("/v1/events", json={"events": [row]})
    assert (answer.status_code, answer.json()["error"]["where"]) == (422, where)


def test_a_call_is_bounded_and_a_time_at_the_end_of_the_world_is_refused(client):
    row = {"event_id": "e", "ts": "9999-12-31T23:59:59-23:59", "user_id": "u", "item_id": "i",
           "domain": "search", "event_type": "click"}  # fmt: skip
    told = client.post("/v1/events", json={"events": [row]}).json()
    assert told["refused"][0]["reason"] == "future"
    assert client.post("/v1/events", json={"events": [row] * 501}).status_code == 422
    assert client.post("/v1/events", json={"events": []}).status_code == 422


def test_rows_are_the_contracts_whatever_zone_a_time_came_in(log):
    row = TODAY[0] | {"ts": datetime.fromisoformat("2026-01-07T09:00:00+01:00")}
    table = event_table(log.profile.spec, rows_of(log, [row]))
    assert table["ts"].to_pylist() == [at(2, "08:00")]
