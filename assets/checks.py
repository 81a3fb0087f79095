"""Great Expectations between the stages, as blocking checks."""

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    MetadataValue,
    ResourceParam,
    asset_check,
)

from assets.resources import Pipeline

TABLES = (
    "events",
    "impressions",
    "source_interest",
    "group_consistency",
    "icl_labels",
    "user_features",
    "item_features",
    "scene_features",
    "user_interest",
    "training_set",
)
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def _check(table: str) -> AssetChecksDefinition:
    @asset_check(
        asset=table,
        name="great_expectations",
        blocking=True,
        description=f"What {table} must hold, checked where it lies.",
    )
    def great_expectations(
        context: AssetCheckExecutionContext, pipeline: ResourceParam[Pipeline]
    ) -> AssetCheckResult:
        from exit_pipeline.errors import ValidationRunError
        from exit_pipeline.validation import rules_for, validate

        lake = pipeline.lake(context.run.run_id)
        rules = rules_for(table, pipeline.profile.spec)
        try:
            files = lake.files(table, _days(context, lake.partitions(table)[0]))
            report = validate(
                table, files, lake.partitions(table), rules, pipeline.settings, pipeline.home
            )
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
            metadata={
                "rows": report.rows,
                "rules": MetadataValue.md(report.markdown()),
                **({"data_docs": MetadataValue.path(report.docs)} if report.docs else {}),
            },
        )

    return great_expectations


def _days(context: AssetCheckExecutionContext, column: str) -> list[tuple]:
    """The days of this run, as filters; a check without days looks at the whole table."""
    from datetime import date

    tags = context.run.tags
    first = tags.get(RANGE[0], tags.get("dagster/partition"))
    last = tags.get(RANGE[1], tags.get("dagster/partition"))
    if first is None or last is None:
        return []
    return [(column, ">=", date.fromisoformat(first)), (column, "<=", date.fromisoformat(last))]


CHECKS = [_check(table) for table in TABLES]
