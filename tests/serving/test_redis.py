"""With features online in Redis the service answers as it does from sqlite, and outlives Redis."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from exit_pipeline.ranking.online import materialize_online
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.users import UNREACHABLE
from tests.servers import RedisServer, redis_server
from tests.serving.conftest import ServingHome, ask
from tests.serving.test_failures import flags, within

SAME = ("items", "features_as_of", "flags")


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    found = redis_server(tmp_path)
    yield found
    found.stop()


def on(home: ServingHome, server: RedisServer) -> ServingHome:
    """The same home with its features online in Redis."""
    settings = home.settings.model_copy(
        update={"redis": SecretStr(server.address), "serve_store_timeout": 2.0}
    )
    moved = ServingHome(home.root, settings)
    (home.lake.home.feast / "online.db").unlink()
    materialize_online(settings, moved.lake, moved.service().profile)
    return moved


def test_rankings_are_those_of_sqlite(home, server):
    asks = [{"user_id": f"u{n:07}"} for n in range(1, 9)] + [{"user_id": "nobody"}]

    def answers(one: ServingHome) -> list[dict]:
        with TestClient(make_app(one.service())) as client:
            return [{key: ask(client, **who).json()[key] for key in SAME} for who in asks]

    before = answers(home)
    assert before[0]["features_as_of"]
    assert before[-1]["flags"] == ["unknown user: defaults are used"]
    assert answers(on(home, server)) == before


def test_redis_hangs_dies_and_comes_back(home, server):
    moved = on(home, server)
    with TestClient(make_app(moved.service())) as client:
        assert flags(client) == []
        server.process.send_signal(signal.SIGSTOP)
        assert flags(client) == [UNREACHABLE]
        server.process.send_signal(signal.SIGCONT)
        assert within(30, lambda: flags(client) == [])
        server.stop()
        assert flags(client) == [UNREACHABLE]
        server.start()  # it has lost everything
        materialize_online(moved.settings, moved.lake, moved.service().profile)
        assert within(30, lambda: flags(client) == [])
