"""What is down, missing, slow or old has a defined answer with a flag, and no request pays twice."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from exit_pipeline.errors import RegistryError
from exit_pipeline.feast_stores.repo import open_store
from exit_pipeline.ranking.rows import UserReader
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.users import UNREACHABLE
from tests.serving.conftest import SCENE, ask


def within(seconds: float, holds) -> bool:
    """Asks again and again until it holds, or the time is over."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        threading.Event().wait(0.02)
    return holds()


def flags(client: TestClient) -> list[str]:
    answer = ask(client, k=1)
    assert answer.status_code == 200
    return answer.json()["flags"]


def test_without_a_champion_it_says_what_to_do_and_then_takes_the_first(home):
    home.registry.client.delete_registered_model_alias("exit-simulated", "champion")
    with TestClient(make_app(home.service())) as client:
        answer = ask(client)
        assert answer.status_code == 503
        assert answer.json()["error"]["what"] == "there is no champion yet"
        assert "exit-pipeline run" in answer.json()["error"]["mend"]
        assert answer.headers["retry-after"] == "5"
        assert client.get("/v1/model").status_code == 503
        assert client.get("/healthz").status_code == 200
        assert not client.get("/readyz").json()["ready"]
        home.registry.force(2, "at last")
        assert within(20, lambda: ask(client).status_code == 200)


def test_a_registry_that_is_away_takes_no_service_with_it(home, monkeypatch):
    service = home.service()
    with TestClient(make_app(service)) as client:
        assert ask(client).status_code == 200

        def away(which):
            raise RegistryError("the registry is away")

        monkeypatch.setattr(service.champion.registry, "number", away)
        assert within(20, lambda: service.champion.problem is not None)
        assert client.get("/readyz").status_code == 200
        assert ask(client).status_code == 200


def test_nothing_there_at_all(tmp_path, home):
    with TestClient(make_app(home.service(home=tmp_path / "empty"))) as client:
        assert ask(client).status_code == 503
        assert client.get("/readyz").status_code == 503


def test_the_online_store_goes_and_comes_back(home):
    store = home.lake.home.feast / "online.db"
    with TestClient(make_app(home.service())) as client:
        assert flags(client) == []
        aside = store.rename(store.with_suffix(".aside"))
        assert flags(client) == [UNREACHABLE]
        assert flags(client) == [UNREACHABLE]
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, [UNREACHABLE])
        assert "exit_online_store_up 0.0" in client.get("/metrics").text
        aside.rename(store)
        assert within(20, lambda: flags(client) == [])
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_a_broken_online_store_is_a_flag(home, content):
    for file in home.lake.home.feast.glob("online.db*"):
        file.unlink()
    (home.lake.home.feast / "online.db").write_bytes(content)
    with TestClient(make_app(home.service())) as client:
        assert flags(client) == [UNREACHABLE]


def test_a_slow_store_costs_one_request_its_wait(home, monkeypatch):
    monkeypatch.setattr(UserReader, "local", False)
    reads, read, slow = [], UserReader.__call__, threading.Event()

    def sometimes_slow(self, *arguments):
        reads.append(arguments)
        if slow.is_set():
            time.sleep(1.0)
        return read(self, *arguments)

    monkeypatch.setattr(UserReader, "__call__", sometimes_slow)
    service = home.service(serve_store_timeout=0.5, serve_store_retry=60.0)
    with TestClient(make_app(service)) as client:
        service.users.reachable = True  # a busy machine may have found it slow at the start
        store = open_store(home.settings, home.lake.home)
        service.users._reader = service.users._reader or UserReader(store, service.spec)
        slow.set()
        reads.clear()
        assert [flags(client) for _ in range(20)] == [[UNREACHABLE]] * 20
        assert len(reads) == 1
        slow.clear()
        client.portal.call(service.users.look)
        assert within(20, lambda: service.users.reachable or client.portal.call(service.users.look))
        assert len(reads) >= 3


def test_who_waits_for_a_thread_while_the_store_is_opened_anew_gets_defaults(home, monkeypatch):
    monkeypatch.setattr(UserReader, "local", False)
    users, go = home.service(threads=1).users, threading.Event()

    async def reads():
        await users.look()
        users._threads.submit(go.wait, 30)
        waiting = asyncio.create_task(users.read("u0000001", datetime.now(UTC)))
        await asyncio.sleep(0.05)
        await users.look()
        found = await waiting
        gone = asyncio.create_task(users.read("u0000001", datetime.now(UTC)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return found.flags, users.reachable

    try:
        assert asyncio.run(reads()) == ((UNREACHABLE,), True)
    finally:
        go.set()
        users.close()


def test_without_room_a_request_is_sent_away_at_once(home):
    service, inside, go = home.service(serve_concurrency=1), threading.Event(), threading.Event()
    score = service._score

    async def waiting(function, *arguments):
        inside.set()
        await asyncio.to_thread(go.wait, 30)
        return await score(function, *arguments)

    service._score = waiting
    with TestClient(make_app(service)) as client:
        found = []
        first = threading.Thread(target=lambda: found.append(ask(client)))
        first.start()
        assert inside.wait(30)
        refused = ask(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["where"] == "EXIT_SERVE_CONCURRENCY=1"
        assert client.get("/healthz").status_code == 200
        go.set()
        first.join(30)
        assert found[0].status_code == 200
        assert ask(client).status_code == 200


def test_of_many_who_ask_at_once_those_without_room_are_sent_away(home):
    """Each of them is answered in the event loop, with nothing to wait for."""
    service = home.service(serve_concurrency=5)
    app = make_app(service)
    items = [f"i{n:06}" for n in range(3)]
    body = json.dumps({"user_id": "u0000001", "scene": SCENE, "candidates": items}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def status() -> int:
        scope = {"type": "http", "method": "POST", "path": "/v1/rank", "headers": [*head],
                 "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1"}  # fmt: skip
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        return sent[0]["status"]

    async def many() -> list[int]:
        async with service.running():
            return await asyncio.gather(*(status() for _ in range(20)))

    assert sorted(asyncio.run(many())) == [200] * 5 + [503] * 15


def test_an_answer_that_takes_too_long_is_given_up(home):
    service = home.service(serve_timeout=0.2)

    async def never(function, *arguments):
        await asyncio.sleep(60)

    service._score = never
    with TestClient(make_app(service)) as client:
        late = ask(client)
        assert (late.status_code, late.headers["retry-after"]) == (503, "1")
        assert late.json()["error"]["what"] == "the answer took too long"


def test_what_nobody_foresaw_is_an_error_of_the_one_form(home):
    service = home.service()

    async def broken(function, *arguments):
        raise KeyError("u0000001")

    service._score = broken
    with TestClient(make_app(service)) as client:
        answer = client.post("/v1/rank", json={"user_id": "u0000001", "scene": SCENE})
        assert answer.status_code == 500
        assert answer.json()["error"]["what"] == "the service failed"
        assert "u0000001" not in answer.text
