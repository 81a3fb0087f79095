"""The Dagster instance of a home, and what keeps its runs in order."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from assets.internals import IN_PROGRESS_RUN_STATUSES, NOT_FINISHED_STATUSES
from exit_pipeline.errors import LakeError
from exit_pipeline.files import write_text
from exit_pipeline.lock import exclusive
from exit_pipeline.settings import Home, load_settings

INSTANCE_SETTINGS = """\
# Written by exit-pipeline; without this line it stays as you leave it.
telemetry: {enabled: false}
nux: {enabled: false}
# Training holds the only place of its pool.
concurrency: {pools: {default_limit: 1}}
run_monitoring: {enabled: true, free_slots_after_run_end_seconds: 60}
"""
ON_POSTGRES = "storage: {postgres: {postgres_url: {env: EXIT_DAGSTER_POSTGRES}}}\n"
OPEN_SECONDS = 180.0
BY_COMMAND = {"exit/started_by": "run"}


def open_instance(home: Home) -> DagsterInstance:
    """Opens the Dagster instance of a home, with the settings of this version.

    Raises:
        LakeError: Another process has been opening it for too long.
    """
    settings = home.dagster / "dagster.yaml"
    home.dagster.mkdir(parents=True, exist_ok=True)
    ours = INSTANCE_SETTINGS.splitlines()[0]
    refusal = LakeError(
        "another process has been opening Dagster's storage for minutes",
        where=str(home.dagster),
        mend="see whether its database answers, then call this again",
    )
    # Two at a time would both make the tables of an empty Postgres, and one of them would fail.
    with exclusive(home.dagster / "open.lock", OPEN_SECONDS, refusal):
        if not settings.exists() or settings.read_text().startswith(ours):
            storage = ON_POSTGRES if load_settings().dagster_postgres else ""
            write_text(settings, INSTANCE_SETTINGS + storage)
        return DagsterInstance.from_config(str(home.dagster))


def only_run(home: Home) -> AbstractContextManager[None]:
    """Holds the home for one run of the graph; a second one is refused at once."""
    refusal = LakeError(
        "another run is going on in this home",
        where=str(home.root),
        mend="wait for it to end, or name another home with EXIT_HOME",
    )
    return exclusive(home.dagster / "run.lock", 0, refusal)


@contextmanager
def idle(home: Home) -> Iterator[None]:
    """Holds the home while no run of the graph goes on in it, neither a command's nor the UI's.

    Raises:
        LakeError: One does, or the UI began one meanwhile.
    """
    with only_run(home), open_instance(home) as instance:
        close_dead_runs(instance, by_command=True, by_ui=not has_ui(home))
        started = datetime.now(UTC)
        # One that waits in the queue may begin at any moment.
        if instance.get_runs(RunsFilter(statuses=[*NOT_FINISHED_STATUSES]), limit=1):
            raise _of_the_ui("a run of the UI is going on, or waits, in this home", home)
        yield
        if instance.get_runs(RunsFilter(updated_after=started), limit=1):
            raise _of_the_ui("a run of the UI began meanwhile, and may know what was there", home)


def _of_the_ui(what: str, home: Home) -> LakeError:
    mend = "wait for it to end, or stop it in the UI, then call this again"
    return LakeError(what, where=str(home.root), mend=mend)


def hold_ui(home: Home) -> None:
    """Marks the home as having a UI, until this process and what it becomes have ended.

    Raises:
        LakeError: Another UI of this home is running.
    """
    handle = os.open(_ui_lock(home), os.O_CREAT | os.O_RDWR)
    os.set_inheritable(handle, True)
    if not _taken(handle):
        raise LakeError(
            "another UI of this home is running",
            where=str(home.root),
            mend="use that one, or name another home with EXIT_HOME",
        )


def has_ui(home: Home) -> bool:
    """Says whether a UI of this home is running."""
    with _ui_lock(home).open("w") as handle:
        return not _taken(handle.fileno())


def close_dead_runs(instance: DagsterInstance, *, by_command: bool, by_ui: bool) -> None:
    """Ends runs whose process died, and frees the places that they held.

    Args:
        instance: Knows the runs that have begun.
        by_command: No `exit-pipeline run` but the caller is alive.
        by_ui: No UI but the caller's is alive.
    """
    begun = [DagsterRunStatus.NOT_STARTED, *IN_PROGRESS_RUN_STATUSES]
    for run in instance.get_runs(RunsFilter(statuses=begun)):
        if by_command if BY_COMMAND.items() <= run.tags.items() else by_ui:
            instance.report_run_failed(run, "its process died; what is whole stays")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _ui_lock(home: Home) -> Path:
    return home.dagster / "ui.lock"


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
