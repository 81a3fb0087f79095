"""`exit-pipeline serve` as a process: it starts, is ready, ranks, and ends when it is told to."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx2

from tests.conftest import SmallHome
from tests.serving.conftest import SCENE


def test_the_command_serves_until_it_is_told_to_end(home):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = SmallHome(home.root).start("serve", "--port", str(port))
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            _wait_until_ready(client, process)
            body = {"user_id": "u0000001", "scene": SCENE, "k": 3}
            answer = client.post("/v1/rank", json=body)
            assert answer.status_code == 200
            assert len(answer.json()["items"]) == 3
            assert "server" not in answer.headers
        told = time.monotonic()
        process.terminate()
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - told < 15
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["status"] for line in lines if line.get("route") == "/v1/rank"] == [200]
    assert "u0000001" not in err


def _wait_until_ready(client, process) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr.read()
        try:
            if client.get("/healthz").status_code == 200:
                return
        except httpx2.TransportError:
            threading.Event().wait(0.2)
    raise AssertionError("the service did not come up in two minutes")
