"""Servers from Debian's packages, each started for a test on a free port or socket of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exit_pipeline.bench.processes import free_port
from exit_pipeline.bench.redis_server import RedisServer


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
