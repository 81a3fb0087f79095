"""Tells memory and disk that ran out from everything else that goes wrong below."""

from __future__ import annotations

import re

from exit_pipeline.errors import LakeError

# DuckDB, delta-rs and the operating system say it in words only.
_DISK = re.compile(
    r"No space left|os error 28|File too large|os error 27|Disk quota|failed to offload"
)
_MEMORY = re.compile(r"Out of Memory|OutOfMemory|Cannot allocate memory", re.IGNORECASE)


def ran_out(error: Exception, where: str) -> LakeError | None:
    """Returns the error to raise when memory or disk ran out, or None.

    Args:
        error: What a library raised.
        where: The table or folder that was being made.
    """
    said = str(error)
    first = said.splitlines()[0] if said else repr(error)
    if _DISK.search(said):
        return LakeError(
            f"the disk is full: {first}",
            where=where,
            mend="free space where the home and its spill folder lie, then run again",
        )
    if _MEMORY.search(said):
        return LakeError(
            f"the memory limit is too small: {first}",
            where=where,
            mend="raise EXIT_MEMORY_LIMIT, or lower EXIT_THREADS, then run again",
        )
    return None
