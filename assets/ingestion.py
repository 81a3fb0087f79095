"""Raw landing files to the contract: events, quarantine, items, users."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    ResourceParam,
    asset,
    multi_asset,
)

from assets.days import asked_days, each_day, table_metadata, whole_range
from assets.partitions import daily
from assets.resources import Pipeline
from assets.retries import RETRY, decided
from exit_pipeline.validation import BALANCED
from exit_pipeline.validation.verdicts import record

if TYPE_CHECKING:
    from exit_pipeline.ingest import IngestReport


@multi_asset(
    name="ingest",
    specs=[
        AssetSpec(
            "events",
            description="The log in contract form: one row per event.",
            kinds={"duckdb", "deltalake"},
            partitions_def=daily,
            group_name="ingest",
        ),
        AssetSpec(
            "quarantine",
            description="Rows that break the contract, with rule and file.",
            kinds={"duckdb", "deltalake"},
            partitions_def=daily,
            group_name="ingest",
        ),
    ],
    check_specs=[
        AssetCheckSpec(
            BALANCED,
            asset="events",
            blocking=True,
            description="events + duplicates + quarantine = rows read, counted where they lie.",
        )
    ],
    retry_policy=RETRY,
)
def ingest(
    context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
) -> Iterator[MaterializeResult | AssetMaterialization | AssetCheckResult]:
    """Reads landing days, from the oldest to the newest, into `events` and `quarantine`."""
    from exit_pipeline.ingest import ingest_days
    from exit_pipeline.lake.table import days_between

    lake, started = pipeline.lake(context.run.run_id), time.perf_counter()
    connection, reports = pipeline.connect(), []
    days = days_between(*asked_days(context))
    with decided():
        for report in ingest_days(connection, lake, pipeline.profile, days):
            reports.append(report)
            context.log.info(f"{report.day}: {report.summary}")
    seconds = time.perf_counter() - started
    for table in ("events", "quarantine"):
        key, stored = AssetKey(table), lake.days(table)
        states = {report.day: stored[report.day] for report in reports}
        details = {r.day: _details(table, r) for r in reports}
        shared = table_metadata(lake, pipeline.profile.spec, table, seconds)
        yield whole_range(key, states, shared)
        yield from each_day(context, key, states, shared, details)
    stored = lake.days("events")
    for balanced in (True, False):
        states = {r.day: stored[r.day] for r in reports if r.balanced is balanced}
        record(lake.home, "events", BALANCED, states, balanced)
    unbalanced = [report.summary for report in reports if not report.balanced]
    yield AssetCheckResult(
        asset_key="events",
        check_name=BALANCED,
        passed=not unbalanced,
        metadata={"days": len(reports), "unbalanced": unbalanced},
    )


def _details(table: str, report: "IngestReport") -> dict[str, Any]:
    return report.to_metadata() if table == "events" else {"rules": report.quarantine}


def _attributes(table: str, description: str):
    @asset(
        name=table,
        group_name="ingest",
        kinds={"duckdb", "deltalake"},
        description=description,
        retry_policy=RETRY,
    )
    def attributes(
        context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
    ) -> MaterializeResult:
        from exit_pipeline.ingest import ingest_attributes

        lake, spec = pipeline.lake(context.run.run_id), pipeline.profile.spec
        started = time.perf_counter()
        with decided():
            state = ingest_attributes(pipeline.connect(), lake, pipeline.profile, table)
        return MaterializeResult(
            metadata={
                "dagster/row_count": state.rows,
                **table_metadata(lake, spec, table, time.perf_counter() - started),
            },
            data_version=DataVersion(state.hash),
        )

    return attributes


ASSETS = [
    ingest,
    _attributes("items", "Item attributes, each version valid from a moment on."),
    _attributes("users", "User attributes, each version valid from a moment on."),
]
