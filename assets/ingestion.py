"""Raw landing files to the contract: events, quarantine, items, users."""

import time
from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    ResourceParam,
    asset,
    multi_asset,
)

from assets.days import asked_days, combined_version, table_metadata
from assets.partitions import daily
from assets.resources import Pipeline

BALANCED = "rows_accounted_for"


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
)
def ingest(
    context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
) -> Iterator[MaterializeResult | AssetCheckResult]:
    """Reads landing days, from the oldest to the newest, into `events` and `quarantine`."""
    from exit_pipeline.ingest import ingest_days
    from exit_pipeline.lake.table import days_between

    lake, started = pipeline.lake(context.run.run_id), time.perf_counter()
    connection, reports = pipeline.connect(), []
    days = days_between(*asked_days(context))
    for report in ingest_days(connection, lake, pipeline.profile, days):
        reports.append(report)
        context.log.info(f"{report.day}: {report.summary}")
    seconds = time.perf_counter() - started
    for table in ("events", "quarantine"):
        states = {day: s for day, s in lake.days(table).items() if day in {r.day for r in reports}}
        for report in reports:
            metadata: dict[str, Any] = {
                "dagster/partition_row_count": states[report.day].rows,
                "content_hash": states[report.day].hash,
                **(report.to_metadata() if table == "events" else {"rules": report.quarantine}),
            }
            context.add_asset_metadata(
                metadata, asset_key=table, partition_key=report.day.isoformat()
            )
        yield MaterializeResult(
            asset_key=table,
            metadata=table_metadata(lake, table, seconds),
            data_version=DataVersion(combined_version(states)),
        )
    unbalanced = [report.summary for report in reports if not report.balanced]
    yield AssetCheckResult(
        asset_key="events",
        check_name=BALANCED,
        passed=not unbalanced,
        metadata={"days": len(reports), "unbalanced": unbalanced},
    )


def _attributes(table: str, description: str):
    @asset(name=table, group_name="ingest", kinds={"duckdb", "deltalake"}, description=description)
    def attributes(
        context: AssetExecutionContext, pipeline: ResourceParam[Pipeline]
    ) -> MaterializeResult:
        from exit_pipeline.ingest import ingest_attributes

        lake, started = pipeline.lake(context.run.run_id), time.perf_counter()
        state = ingest_attributes(pipeline.connect(), lake, pipeline.profile, table)
        return MaterializeResult(
            metadata={
                "dagster/row_count": state.rows,
                **table_metadata(lake, table, time.perf_counter() - started),
            },
            data_version=DataVersion(state.hash),
        )

    return attributes


ASSETS = [
    ingest,
    _attributes("items", "Item attributes, each version valid from a moment on."),
    _attributes("users", "User attributes, each version valid from a moment on."),
]
