"""One commit of a table: days replaced as a whole, upon the version that was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError

from exit_pipeline.errors import LakeError
from exit_pipeline.lake.form import CONFIGURATION, WRITER
from exit_pipeline.lake.limits import ran_out
from exit_pipeline.lake.remote import address, options


def commit(
    folder: Path,
    rows: pa.RecordBatchReader,
    partitions: Sequence[str],
    predicate: str | None,
    seen: int,
    told: Mapping[str, str],
) -> None:
    """Writes rows to a table, in one commit.

    Args:
        folder: The table's; where it is a copy, the store's table is written.
        rows: The new rows.
        partitions: The partition columns.
        predicate: Which rows they replace; all by default.
        seen: The version that this was decided upon; −1 where there was no table.
        told: Kept with the commit.

    Raises:
        LakeError: Another machine wrote meanwhile, memory or disk ran out, or it cannot be written.
    """
    at, parts = address(folder), list(partitions) or None
    try:
        # Of two machines' first writes the later would be taken for an append; of two that make the
        # table first, the later's makes both writes conflict with it.
        if seen < 0 and "://" in at:
            DeltaTable.create(
                at, rows.schema, "error", parts, configuration=CONFIGURATION,
                storage_options=options(),
            )  # fmt: skip
            seen = 0
        write_deltalake(
            at if seen < 0 else DeltaTable(at, seen, storage_options=options()),
            rows,
            partition_by=parts,
            mode="overwrite",
            predicate=None if seen < 0 else predicate,
            writer_properties=WRITER,
            configuration=CONFIGURATION,
            commit_properties=CommitProperties(custom_metadata=dict(told)),
            # For tables that were made without this configuration.
            post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
            storage_options=options(),
        )
    except (DeltaError, OSError) as error:
        raise _refused(error, folder.name, at) from error


def _refused(error: Exception, name: str, at: str) -> LakeError:
    # Locks hold on one machine alone.
    if isinstance(error, CommitFailedError) or "already exists" in str(error):
        return LakeError(
            f"another machine wrote {name!r} meanwhile: nothing was written",
            where=at,
            mend="run again, once the other run has ended",
        )
    return ran_out(error, at) or LakeError(
        f"the table {name!r} could not be written: {error}",
        where=at,
        mend="if the profile's columns changed, build all tables anew: --full-refresh, or another "
        "place in EXIT_LAKE where that is set",
    )
