"""Servers from Debian's packages, each started for a test on a free port or socket of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass
class RedisServer:
    """A redis-server that keeps nothing on disk."""

    folder: Path
    port: int
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it takes connections."""
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no",
                   "dir": self.folder}  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen(
            ["redis-server", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError("".join(said))

    def stop(self) -> None:
        """It forgets all that it held."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def empty(self) -> None:
        from exit_pipeline.feast_stores.online_redis import client_of

        client_of(self.address).flushall()


def redis_server(folder: Path) -> RedisServer:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    server = RedisServer(folder, free_port())
    server.start()
    return server


@contextmanager
def postgres_server() -> Iterator[str]:
    """A Postgres of an ordinary user, as it refuses to be run by root; yields its URL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    programs, who = found[-1].parent, {"user": "postgres"} if os.geteuid() == 0 else {}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        if who:
            shutil.chown(folder, "postgres")
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **who}
        subprocess.run([programs / "initdb", "-D", f"{folder}/data", "-U", "exit", "-A", "trust",
                        "-E", "UTF8", "--no-sync"], **quiet)  # fmt: skip
        options = f"-p {port} -k {folder} -h 127.0.0.1 -F"
        control = [programs / "pg_ctl", "-D", f"{folder}/data", "-w"]
        subprocess.run([*control, "-o", options, "-l", f"{folder}/log", "start"], **quiet)
        try:
            yield f"postgresql://exit@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
