"""The processes beside a bench of serving: the service, a bare server, whoever asks them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import end, start, told

COMMAND = [sys.executable, "-c", "from exit_pipeline.cli.main import main; main()"]
UP_SECONDS = LOAD_SECONDS = 300.0
LOOKED = re.compile(rb"^exit_pipeline_looked_timestamp_seconds [1-9]", re.MULTILINE)


def seconds_of(home: Path, *arguments: str, **environment: str) -> float:
    """Runs a command on a home, made if need be; returns how long it took."""
    home.mkdir(parents=True, exist_ok=True)
    told = {**os.environ, **environment, "EXIT_HOME": str(home)}
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], env=told, check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - started, 1)


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    pid: int

    def get(self, path: str) -> bytes:
        """Returns what stands there; raises `OSError` where nothing does."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as found:
            return found.read()

    def serves(self, version: int) -> None:
        """Returns when the service has that version."""
        wait_until(lambda: json.loads(self.get("/v1/model"))["version"] == version)

    def settled(self) -> None:
        """Returns when the service has read the pipeline's figures once, and all that it imports.

        It does so beside requests, whose cost this would seem to be.
        """
        wait_until(lambda: LOOKED.search(self.get("/metrics")) is not None)

    def alive(self) -> bool:
        """Whether it answers."""
        with suppress(OSError):
            return bool(self.get("/healthz"))
        return False


@contextmanager
def service(root: Path, **environment: str) -> Iterator[Server]:
    """What `exit-pipeline serve` runs on a home; its log goes to a file there."""
    port = free_port()
    with (root / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port)], stdout=log, stderr=log,
            env={**os.environ, "EXIT_HOME": str(root), **environment},
        )  # fmt: skip
    with _up(process, Server(port, process.pid)) as server:
        yield server


@contextmanager
def bare_server() -> Iterator[Server]:
    """The same server with nothing behind it."""
    port = free_port()
    process = start("exit_pipeline.bench.processes:answer_bare", {"port": port})
    with _up(process, Server(port, process.pid)) as server:
        yield server


def answer_bare(port: int) -> None:
    """Reads each request's body, and answers `{}`."""
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    uvicorn.run(
        app, port=port, lifespan="off", log_level="error", access_log=False, server_header=False
    )


@dataclass(frozen=True)
class Load:
    """A process that asks a server.

    Args:
        process: It.
        answers: What `serving_load.asked` returned; nothing before it has.
    """

    process: subprocess.Popen[str]
    answers: dict[str, Any] = field(default_factory=dict)


@contextmanager
def under_load(
    server: Server, file: str, limit: float = LOAD_SECONDS, **how: Any
) -> Iterator[Load]:
    """Asks a server meanwhile (see `serving_load.asked`); the answers are there at the end.

    Raises:
        TimeoutExpired: Answers to what is still to be asked then take longer than the limit, in
            seconds.
    """
    process = start(
        "exit_pipeline.bench.serving_load:asked",
        {"port": server.port, "pid": server.pid, "bodies": file, **how},
    )
    with process:
        try:
            yield (load := Load(process))
            load.answers.update(told(process, limit))
        finally:
            process.kill()


def load(server: Server, file: str, **how: Any) -> dict[str, Any]:
    """Asks a server and returns the answers."""
    with under_load(server, file, **how) as found:
        pass
    return found.answers


def wait_until(holds: Callable[[], bool], seconds: float = UP_SECONDS) -> None:
    """Looks ten times a second.

    Raises:
        TimeoutError: It does not come to hold.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.1)


@contextmanager
def _up(process: subprocess.Popen, server: Server) -> Iterator[Server]:
    def answers() -> bool:
        if process.poll() is not None:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        return server.alive()

    try:
        wait_until(answers)
        yield server
    finally:
        end(process)


def free_port() -> int:
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
