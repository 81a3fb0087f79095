"""What Dagster has no public name for; an upgrade that moves one of these fails here alone."""

from __future__ import annotations

from dagster._core.definitions.asset_selection import DagsterInvalidAssetSelectionError
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.errors import DagsterInvalidSubsetError
from dagster._core.execution.backfill import (
    BULK_ACTION_TERMINAL_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES, NOT_FINISHED_STATUSES
from dagster._utils.error import SerializableErrorInfo

__all__ = [
    "BULK_ACTION_TERMINAL_STATUSES",
    "DATA_VERSION_TAG",
    "IN_PROGRESS_RUN_STATUSES",
    "NOT_FINISHED_STATUSES",
    "AssetCheckExecutionRecordStatus",
    "BulkActionStatus",
    "BulkActionsFilter",
    "DagsterInvalidAssetSelectionError",
    "DagsterInvalidSubsetError",
    "SerializableErrorInfo",
]
