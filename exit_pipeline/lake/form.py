"""How tables are written: what Delta is told of each, and how its Parquet files are laid out."""

from __future__ import annotations

from deltalake import ColumnProperties, WriterProperties

# A dictionary of values that hardly repeat costs time and saves no space; small row groups keep the
# writer's memory small, since it holds one open for each day.
WRITER = WriterProperties(
    max_row_group_size=65_536,
    column_properties={
        name: ColumnProperties(dictionary_enabled=False)
        for name in ("event_id", "request_id", "user_id", "ts")
    },
)
CONFIGURATION = {
    # Days are all that is ever pruned by, so no statistics are kept in the log.
    "delta.dataSkippingNumIndexedCols": "0",
    # The log says what each day holds, and registered models name old versions: none expires.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
}
