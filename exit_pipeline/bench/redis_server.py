"""A Redis for a bench or a test, of Debian's package."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from exit_pipeline.errors import UsageError


@dataclass
class RedisServer:
    """A redis-server that keeps nothing on disk.

    Args:
        folder: Where it runs.
        port: Where it listens.
        process: While it runs.
    """

    folder: Path
    port: int
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        """As `EXIT_REDIS` has it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it takes connections.

        Raises:
            UsageError: There is none, or it ends at once.
        """
        if not shutil.which("redis-server"):
            raise UsageError("redis-server is not installed", mend="apt-get install redis-server")
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no",
                   "dir": self.folder}  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen(
            ["redis-server", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise UsageError(f"redis-server ended: {''.join(said)}")

    def empty(self) -> None:
        """It forgets, and goes on."""
        from exit_pipeline.feast_stores.online_redis import client_of

        client_of(self.address).flushall()

    def stop(self) -> None:
        """It forgets all that it held."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
