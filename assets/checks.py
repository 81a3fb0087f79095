"""Great Expectations between the stages, as blocking checks."""

from datetime import date, timedelta

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    MetadataValue,
    ResourceParam,
    asset_check,
)

from assets.partitions import RANGE
from assets.resources import Pipeline
from assets.watch import WATCHES
from exit_pipeline.validation import EXPECTATIONS, SUITES

LANDED_TABLES = ("events", "quarantine")


def _check(table: str) -> AssetChecksDefinition:
    @asset_check(
        asset=table,
        name=EXPECTATIONS,
        blocking=True,
        description=f"What {table} must hold, checked where it lies.",
    )
    def great_expectations(
        context: AssetCheckExecutionContext, pipeline: ResourceParam[Pipeline]
    ) -> AssetCheckResult:
        from exit_pipeline.errors import ValidationRunError
        from exit_pipeline.validation.days import validate_days

        lake = pipeline.lake(context.run.run_id)
        days = _days(context) if lake.partitions(table) else None
        if days and table in LANDED_TABLES:
            # Reading a day again reads those after it again that may repeat its events.
            days = days[0], days[1] + timedelta(days=pipeline.profile.spec.landing.lateness_days)
        try:
            report = validate_days(table, lake, pipeline.profile.spec, pipeline.settings, days)
        except ValidationRunError as error:
            # No verdict on the data: the check itself failed, and says so.
            return AssetCheckResult(
                passed=False,
                severity=AssetCheckSeverity.ERROR,
                description=str(error),
                metadata={"could_not_run": True},
            )
        return AssetCheckResult(
            passed=report.passed,
            severity=AssetCheckSeverity.ERROR,
            # Dagster keeps one verdict a run; what is so of each day is kept beside the lake.
            metadata={
                "days": f"{days[0]} … {days[1]}" if days else "all",
                "failed_days": [str(day) for day in report.failed],
                "rows": report.rows,
                "rules": MetadataValue.md(report.markdown()),
                **({"data_docs": MetadataValue.path(report.docs)} if report.docs else {}),
                **({"no_data_docs": report.undocumented} if report.undocumented else {}),
            },
        )

    return great_expectations


@asset_check(
    asset="online_store",
    description="What the service read for a sample of rankings is what training would have read.",
)
def serving_skew(pipeline: ResourceParam[Pipeline]) -> AssetCheckResult:
    """Compares the service's samples with the point-in-time join; any difference fails."""
    from exit_pipeline.validation.skew import check_skew

    report = check_skew(pipeline.settings, pipeline.lake("skew"), pipeline.profile)
    return AssetCheckResult(
        passed=report.passed,
        severity=AssetCheckSeverity.ERROR,
        metadata={
            "rows": report.rows,
            "differing": report.differing,
            **({"features": report.features, "differences": MetadataValue.md(report.markdown())}
               if report.differences else {}),
        },
    )  # fmt: skip


def _days(context: AssetCheckExecutionContext) -> tuple[date, date] | None:
    """The days of this run; a check that is run by itself looks at the whole table."""
    tags = context.run.tags
    first = tags.get(RANGE[0], tags.get("dagster/partition"))
    last = tags.get(RANGE[1], tags.get("dagster/partition"))
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


CHECKS = [*(_check(table) for table in SUITES), serving_skew, *WATCHES]
