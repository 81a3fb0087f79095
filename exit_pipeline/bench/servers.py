"""Servers for a bench or a test, each on a free port: Debian's Postgres, MLflow's and moto's S3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from exit_pipeline.bench.processes import free_port
from exit_pipeline.errors import UsageError

BUCKET = "lakes"
UP_SECONDS = 120.0
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@contextmanager
def postgres_server() -> Iterator[str]:
    """A Postgres of an ordinary user, as it refuses to be run by root; yields its URL.

    Raises:
        UsageError: It is not installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise UsageError("Postgres is not installed", mend="apt-get install postgresql")
    programs = found[-1].parent
    who: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        if who:
            shutil.chown(folder, "postgres")
        quiet = {**QUIET, "check": True, "cwd": folder, **who}
        data: list[str | Path] = ["-D", f"{folder}/data"]
        made = ["-U", "exit", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([programs / "initdb", *data, *made], **quiet)
        options = f"-p {port} -k {folder} -h 127.0.0.1 -F"
        control = [programs / "pg_ctl", *data, "-w"]
        subprocess.run([*control, "-o", options, "-l", f"{folder}/log", "start"], **quiet)
        try:
            yield f"postgresql://exit@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)


def database(postgres: str, name: str) -> str:
    """Makes a database on a Postgres; returns its URL, driver and all."""
    from sqlalchemy import create_engine, text

    url = postgres.replace("postgresql:", "postgresql+psycopg2:")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'create database "{name}"'))
    engine.dispose()
    return url.replace("/postgres", f"/{name}")


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Moto's S3 with the bucket `lakes`; yields the environment by which clients find it.

    Raises:
        UsageError: moto is not installed.
    """
    if find_spec("moto") is None:
        raise UsageError("moto is not installed", mend="pip install -c constraints.txt 'moto[s3]'")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _started(command, Request(f"{address}/{BUCKET}", method="PUT")):
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "a key",
            "AWS_SECRET_ACCESS_KEY": "a secret",
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def mlflow_server(store: str, artifacts: str, environment: dict[str, str]) -> Iterator[str]:
    """MLflow's server on a database and a place for the models' files; yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
               "--backend-store-uri", store, "--artifacts-destination", artifacts]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with _started(command, Request(f"{address}/health"), environment):
        yield address


@contextmanager
def _started(
    command: list[str], asked: Request, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """Runs a server while the block does, which begins when it has answered a first request."""
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, **QUIET)
    try:
        deadline = time.monotonic() + UP_SECONDS
        while True:
            with suppress(URLError, ConnectionError):
                urlopen(asked).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise UsageError("a server did not come up", where=" ".join(command[1:4]))
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)
