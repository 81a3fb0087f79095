"""One holder at a time, over all processes of this machine; a process that dies lets go."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exit_pipeline.errors import ExitPipelineError


@contextmanager
def exclusive(file: Path, seconds: float, refusal: ExitPipelineError) -> Iterator[None]:
    """Holds a lock file while the block runs.

    Args:
        file: The lock; made with its folder if need be.
        seconds: How long to wait for another holder.
        refusal: Raised when that was in vain.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise refusal from error
                time.sleep(0.05)
        yield
