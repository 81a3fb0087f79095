"""The Dagster instance of a home, and what keeps its runs in order."""

from __future__ import annotations

from contextlib import AbstractContextManager

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from exit_pipeline.errors import LakeError
from exit_pipeline.lock import exclusive
from exit_pipeline.settings import Home

INSTANCE_SETTINGS = """\
telemetry: {enabled: false}
nux: {enabled: false}
# Training holds the only place of its pool; a run whose process died gives it back.
concurrency: {pools: {default_limit: 1}}
run_monitoring: {enabled: true, free_slots_after_run_end_seconds: 60}
"""
BY_COMMAND = {"exit/started_by": "run"}


def open_instance(home: Home) -> DagsterInstance:
    """Opens the Dagster instance of a home, with the settings of this version."""
    settings = home.dagster / "dagster.yaml"
    home.dagster.mkdir(parents=True, exist_ok=True)
    if not settings.exists() or settings.read_text() != INSTANCE_SETTINGS:
        settings.write_text(INSTANCE_SETTINGS)
    return DagsterInstance.from_config(str(home.dagster))


def only_run(home: Home) -> AbstractContextManager[None]:
    """Holds the home for one run of the graph; a second one is refused at once."""
    refusal = LakeError(
        "another run is going on in this home",
        where=str(home.root),
        mend="wait for it to end, or name another home with EXIT_HOME",
    )
    return exclusive(home.dagster / "run.lock", 0, refusal)


def close_dead_runs(instance: DagsterInstance) -> None:
    """Ends runs whose process died: no other one is alive, or it would hold the lock."""
    begun = [DagsterRunStatus.NOT_STARTED, *IN_PROGRESS_RUN_STATUSES]
    dead = RunsFilter(statuses=begun, tags=BY_COMMAND)
    for run in instance.get_runs(dead):
        instance.report_run_failed(run, "its process died; the next run went on from what is whole")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
