"""What names a process, so that what it left is told from what a later one uses."""

from __future__ import annotations

import os
from pathlib import Path


def process_name() -> str:
    """Names this process: its id and its start, as ids come again (in containers, 1 each time)."""
    return f"{os.getpid()}-{_start(os.getpid())}"


def is_running(pid: int, start: int) -> bool:
    """Says whether a process runs here; one of another container is not seen."""
    return start > 0 and _start(pid) == start


def _start(pid: int) -> int:
    """When a process began, in the kernel's ticks, which all containers count alike; else 0."""
    try:
        told = Path("/proc", str(pid), "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended, or this is not Linux
        return 0
    return int(told.rpartition(")")[2].split()[19])
