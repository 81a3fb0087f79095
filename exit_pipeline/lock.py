"""One holder at a time, or several that share; a process that dies lets go.

Locks hold over all processes of this machine.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from exit_pipeline.errors import ExitPipelineError


def exclusive(
    file: Path, seconds: float, refusal: ExitPipelineError
) -> AbstractContextManager[None]:
    """Holds a lock file while the block runs.

    Args:
        file: The lock; made with its folder if need be.
        seconds: How long to wait for another holder.
        refusal: Raised when that was in vain.
    """
    return _held(file, fcntl.LOCK_EX, seconds, refusal)


def shared(file: Path, seconds: float, refusal: ExitPipelineError) -> AbstractContextManager[None]:
    """Like `exclusive`, but beside others that share it."""
    return _held(file, fcntl.LOCK_SH, seconds, refusal)


@contextmanager
def _held(file: Path, kind: int, seconds: float, refusal: ExitPipelineError) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise refusal from error
                time.sleep(0.05)
        yield
