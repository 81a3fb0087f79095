"""How a daily table is materialized: the days asked for, what they hold, and what is skipped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from assets.internals import DATA_VERSION_TAG
from assets.resources import Pipeline
from exit_pipeline.validation import BLOCKING
from exit_pipeline.validation.verdicts import refuse_failed

if TYPE_CHECKING:
    from exit_pipeline.lake import DayState, Lake
    from exit_pipeline.profile import ProfileSpec

Build = Callable[..., "dict[date, DayState]"]


def asked_days(context: AssetExecutionContext) -> tuple[date, date]:
    """Returns the first and the last day of this run."""
    keys = context.partition_keys
    return date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])


def build_days(
    context: AssetExecutionContext,
    pipeline: Pipeline,
    build: Build,
    newest: date | None,
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
    from exit_pipeline.labels import missing_day

    first, last = asked_days(context)
    table = context.asset_key.path[-1]
    lake = pipeline.lake(context.run.run_id)
    if newest is None or first > newest:
        missing = missing_day(lake)
        context.log.info(
            f"{table} of {first}…{last} is skipped: the newest day that can be built now is "
            f"{newest}; the others wait for the days that make them mature"
            + (f", and {missing} has not landed" if missing else "")
        )
        return
    spec = pipeline.profile.spec
    back, ahead = timedelta(days=spec.reach_days), timedelta(days=spec.labels.horizon_days)
    refuse_failed(lake, _checks_before(context), first - back, min(last, newest) + ahead)
    started = time.perf_counter()
    with pipeline.engine() as connection:
        states = build(connection, lake, pipeline.profile, first, min(last, newest))
    shared = table_metadata(lake, spec, table, time.perf_counter() - started)
    if last <= newest:
        yield whole_range(context.asset_key, states, shared)
    else:
        context.log.info(f"days after {newest} are skipped: they are not mature yet")
    yield from each_day(context, context.asset_key, states, shared)


def _checks_before(context: AssetExecutionContext) -> list[tuple[str, str]]:
    """The blocking checks of what this table reads."""
    key = context.asset_key
    read = {dep.asset_key.path[-1] for dep in context.assets_def.specs_by_key[key].deps}
    return [(table, check) for table, check in BLOCKING if table in read]


def whole_range(
    key: AssetKey, states: Mapping[date, DayState], shared: Mapping[str, Any]
) -> MaterializeResult:
    """What Dagster records of all days of a run at once, so that what hangs on them goes on."""
    version = DataVersion(_combined(states))
    return MaterializeResult(asset_key=key, metadata=dict(shared), data_version=version)


def each_day(
    context: AssetExecutionContext,
    key: AssetKey,
    states: Mapping[date, DayState],
    shared: Mapping[str, Any],
    details: Mapping[date, Mapping[str, Any]] | None = None,
) -> Iterator[AssetMaterialization]:
    """Yields what Dagster records of each day: its rows, and its content hash as data version.

    Dagster gives all days of a run one data version. A record of its own for each day is what
    lets a day that came out the same set nothing off, whatever days it was built with. Where the
    inputs are known (the run's own record), they are said of each day too.
    """
    told = context.instance.get_latest_materialization_event(key)
    ours = told is not None and told.run_id == context.run.run_id
    tags = dict(told.asset_materialization.tags or {}) if ours else {}
    for day, state in states.items():
        yield AssetMaterialization(
            key,
            partition=day.isoformat(),
            metadata={
                **shared,
                "dagster/partition_row_count": state.rows,
                "content_hash": state.hash,
                **(details or {}).get(day, {}),
            },
            tags={**tags, DATA_VERSION_TAG: state.hash},
        )


def _combined(states: Mapping[date, DayState]) -> str:
    """The content hash of one day, or a hash over the content hashes of several."""
    hashes = [states[day].hash for day in sorted(states)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def table_metadata(lake: Lake, spec: ProfileSpec, table: str, seconds: float) -> dict[str, Any]:
    """Returns what is shown of a table whatever the day: where it is, its columns, its inputs."""
    from exit_pipeline.columns import column_lineage

    types = lake.columns(table)
    columns = [TableColumn(name, kind) for name, kind in types.items()]
    lineage = {
        column: [TableColumnDep(AssetKey(source), name) for source, name in sources]
        for column, sources in column_lineage(table, spec, lake.columns).items()
    }
    return {
        "dagster/column_schema": TableSchema(columns=columns),
        **({"dagster/column_lineage": TableColumnLineage(lineage)} if lineage else {}),
        "dagster/uri": MetadataValue.path(str(lake.folder(table))),
        "delta_version": lake.version(table),
        "input_versions": MetadataValue.json(dict(lake.inputs)),
        "seconds": round(seconds, 3),
    }
