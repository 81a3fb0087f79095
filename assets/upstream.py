"""What the checks upstream said last: promotion looks for itself, in whatever run it is."""

from __future__ import annotations

from dagster import AssetCheckKey, AssetExecutionContext
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus


def failed_blocking_checks(context: AssetExecutionContext) -> list[str]:
    """Returns the blocking checks whose last execution did not succeed, as `asset:check`.

    A blocking check stops what is downstream only within its own run, so a later run that selects
    promotion alone would pass it by.
    """
    from assets.definitions import blocking_checks

    keys: list[AssetCheckKey] = blocking_checks()
    records = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return sorted(
        f"{key.asset_key.to_user_string()}:{key.name}"
        for key, record in records.items()
        # A check that was planned and never finished could not run: that is no «passed» either.
        if record.status != AssetCheckExecutionRecordStatus.SUCCEEDED
    )
