"""How a daily table is materialized: the days asked for, what they hold, and what is skipped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableSchema,
)

from assets.resources import Pipeline

if TYPE_CHECKING:
    from exit_pipeline.lake import DayState, Lake

Build = Callable[..., "dict[date, DayState]"]


def asked_days(context: AssetExecutionContext) -> tuple[date, date]:
    """Returns the first and the last day of this run."""
    keys = context.partition_keys
    return date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])


def build_days(
    context: AssetExecutionContext, pipeline: Pipeline, build: Build, newest: date | None
) -> Iterator[MaterializeResult | AssetMaterialization]:
    """Runs a build over the days asked for, and reports each day.

    Days after `newest` cannot be built yet. A run that asks for such days only is a clear skip:
    it yields nothing, so that what hangs on them is skipped too. A run that asks for some of them
    reports the others one by one, so that no day counts as materialized that is not.

    Args:
        context: Dagster's, of an asset with `output_required=False`.
        pipeline: Settings, profile, lake.
        build: A function of `exit_pipeline`: (connection, lake, profile, first, last) → states.
        newest: The newest day that can be built now.
    """
    first, last = asked_days(context)
    table = context.asset_key.path[-1]
    if newest is None or first > newest:
        context.log.info(
            f"{table} of {first}…{last} is skipped: the newest day that can be built now is "
            f"{newest}; the others wait for the days that make them mature"
        )
        return
    lake = pipeline.lake(context.run.run_id)
    started = time.perf_counter()
    states = build(pipeline.connect(), lake, pipeline.profile, first, min(last, newest))
    shared = table_metadata(lake, table, time.perf_counter() - started)
    yield from report_days(context, states, shared, whole=last <= newest)


def report_days(
    context: AssetExecutionContext,
    states: Mapping[date, DayState],
    shared: Mapping[str, Any],
    *,
    whole: bool = True,
    details: Mapping[date, Mapping[str, Any]] | None = None,
) -> Iterator[MaterializeResult | AssetMaterialization]:
    """Yields what Dagster records of each day: rows, content hash as data version, metadata."""
    per_day = {
        day.isoformat(): {
            "dagster/partition_row_count": state.rows,
            "content_hash": state.hash,
            **(details or {}).get(day, {}),
        }
        for day, state in states.items()
    }
    if whole:
        for key, metadata in per_day.items():
            context.add_asset_metadata(metadata, partition_key=key)
        version = combined_version(states)
        yield MaterializeResult(metadata=dict(shared), data_version=DataVersion(version))
        return
    context.log.info(f"days after {max(per_day)} are skipped: they are not mature yet")
    for key, metadata in per_day.items():
        yield AssetMaterialization(
            context.asset_key,
            partition=key,
            metadata={**shared, **metadata},
            tags={"dagster/data_version": metadata["content_hash"]},
        )


def combined_version(states: Mapping[date, DayState]) -> str:
    """The content hash of one day, or a hash over the content hashes of several."""
    hashes = [states[day].hash for day in sorted(states)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def table_metadata(lake: Lake, table: str, seconds: float) -> dict[str, Any]:
    """Returns what is shown of a table whatever the day: where it is, its columns, its inputs."""
    schema = lake.open(table).schema()
    columns = [
        TableColumn(
            field.name, str(field.type.type) if hasattr(field.type, "type") else str(field.type)
        )
        for field in schema.fields
    ]
    return {
        "dagster/column_schema": TableSchema(columns=columns),
        "dagster/uri": MetadataValue.path(str(lake.folder(table))),
        "delta_version": lake.version(table),
        "input_versions": MetadataValue.json(dict(lake.inputs)),
        "seconds": round(seconds, 3),
    }
