"""Jobs in parallel processes, one core each; what fails does not take the others with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from exit_pipeline.errors import ExitPipelineError, TrainingError
from exit_pipeline.settings import Settings

Job = TypeVar("Job")
Result = TypeVar("Result")


def each(
    work: Callable[[Job, Settings], Result], jobs: Sequence[Job], settings: Settings, *,
    here: bool = False,
) -> Iterator[tuple[int, Result | ExitPipelineError]]:  # fmt: skip
    """Does every job, as many at a time as there are threads in the settings.

    Args:
        work: A function of a module, since other processes look it up.
        jobs: What to do.
        settings: Passed on with one thread.
        here: In this process, one after the other.

    Yields:
        A job's number, and what came of it or the error of ours that it ended with.
    """
    alone = settings.model_copy(update={"threads": 1})
    if here or settings.threads == 1:
        for number, job in enumerate(jobs):
            yield number, _outcome(work, job, alone)
        return
    spawned = get_context("spawn")
    with ProcessPoolExecutor(settings.threads, spawned, initializer=_end_with_parent) as pool:
        waiting: dict[Future[Result | ExitPipelineError], int] = {
            pool.submit(_outcome, work, job, alone): number for number, job in enumerate(jobs)
        }
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except BrokenProcessPool as error:
                raise TrainingError(
                    "a process was ended from outside, perhaps for want of memory",
                    where=str(jobs[waiting[future]]),
                    mend="run again with a smaller EXIT_THREADS; what was finished is used",
                ) from error


def _end_with_parent() -> None:
    """Ends this process when its parent is killed: each waits for jobs, which none would bring."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _outcome(
    work: Callable[[Job, Settings], Result], job: Job, settings: Settings
) -> Result | ExitPipelineError:
    try:
        return work(job, settings)
    except ExitPipelineError as error:
        return error
