"""What is going on just now, for which sensors and schedules wait."""

from dagster import AssetKey, DagsterInstance, RunsFilter

from assets.instance import BY_COMMAND
from assets.internals import (
    BULK_ACTION_TERMINAL_STATUSES,
    NOT_FINISHED_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
)
from assets.jobs import backfill, daily_ingest, late_data
from exit_pipeline.validation import SUITES

LANDING = {AssetKey("events")}
# What training reads, and all that it is made of, is what has a suite.
_TABLES = {AssetKey(table) for table in SUITES}
_BACKFILLING = [one for one in BulkActionStatus if one not in BULK_ACTION_TERMINAL_STATUSES]


def backfilling(instance: DagsterInstance, tables: set[AssetKey]) -> bool:
    """Whether a backfill of the UI makes one of some tables: between its stages may be no run."""
    backfills = instance.get_backfills(BulkActionsFilter(statuses=_BACKFILLING))
    return any(tables & set(one.asset_selection or ()) for one in backfills)


def reading(instance: DagsterInstance) -> bool:
    """Whether something that reads landing days, or builds on them by stages, is going on."""
    return _making(instance, LANDING)


def building(instance: DagsterInstance) -> bool:
    """Whether training rows, or what they are made of, are being made."""
    return _making(instance, _TABLES)


def _making(instance: DagsterInstance, tables: set[AssetKey]) -> bool:
    """Whether a run or a backfill makes one of some tables, or makes whatever its days ask for."""
    if backfilling(instance, tables):
        return True
    jobs = {job.name for job in (daily_ingest, backfill, late_data)}
    return any(
        run.job_name in jobs
        or BY_COMMAND.items() <= run.tags.items()
        or tables & (run.asset_selection or frozenset())
        for run in instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))
    )
