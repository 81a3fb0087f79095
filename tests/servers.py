"""Servers of packages, each started for a test on a free port or socket of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from exit_pipeline.bench import servers
from exit_pipeline.bench.processes import free_port
from exit_pipeline.bench.redis_server import RedisServer
from exit_pipeline.errors import UsageError

__all__ = ["RedisServer", "free_port", "postgres_server", "redis_server"]


def redis_server(folder: Path) -> RedisServer:
    server = RedisServer(folder, free_port())
    try:
        server.start()
    except UsageError as absent:
        pytest.skip(f"{absent.what}: {absent.mend}")
    return server


@contextmanager
def postgres_server() -> Iterator[str]:
    with ExitStack() as stack:
        try:
            url = stack.enter_context(servers.postgres_server())
        except UsageError as absent:
            pytest.skip(f"{absent.what}: {absent.mend}")
        yield url
