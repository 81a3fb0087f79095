"""All definitions of the code location, with the policies that hold for every asset."""

from __future__ import annotations

from datetime import timedelta

from dagster import (
    AssetCheckKey,
    AssetsDefinition,
    AssetSpec,
    AutomationCondition,
    BackfillPolicy,
    Definitions,
    in_process_executor,
    multiprocess_executor,
)

from assets import checks, features, ingestion, labels, online, training
from assets.jobs import JOBS, SCHEDULES
from assets.resources import PIPELINE
from exit_pipeline import __version__

OWNER = "team:recommendations"
_SETTLING = timedelta(days=PIPELINE.profile.spec.labels.maturity_days + 1)

# What hangs on new data follows it, unless a blocking check said no. A label day is never the
# newest one: it waits for the days that make it mature.
FOLLOW = (
    AutomationCondition.eager().replace(
        AutomationCondition.in_latest_time_window(),
        AutomationCondition.in_latest_time_window(_SETTLING),
    )
    & AutomationCondition.all_deps_blocking_checks_passed()
)


def _with_policies(definition: AssetsDefinition) -> AssetsDefinition:
    """Applies what holds for every asset: owner, code version, automation, single-run backfills."""

    def policies(spec: AssetSpec) -> AssetSpec:
        follows = spec.partitions_def is not None and spec.deps
        return spec.replace_attributes(
            owners=[OWNER],
            code_version=f"{__version__}:{PIPELINE.profile.hash[:12]}",
            automation_condition=FOLLOW if follows else None,
        )

    backfills = BackfillPolicy.single_run() if definition.partitions_def else None
    return definition.map_asset_specs(policies).with_attributes(backfill_policy=backfills)


ASSETS = [
    _with_policies(definition)
    for module in (ingestion, labels, features, training, online)
    for definition in module.ASSETS
]


def blocking_checks() -> list[AssetCheckKey]:
    """Returns the keys of all blocking checks of this code location."""
    graph = defs.resolve_asset_graph()
    return [key for key in graph.asset_check_keys if graph.get_check_spec(key).blocking]


defs = Definitions(
    assets=ASSETS,
    asset_checks=checks.CHECKS,
    jobs=JOBS,
    schedules=SCHEDULES,
    resources={"pipeline": PIPELINE},
    executor=(
        in_process_executor
        if PIPELINE.settings.executor == "in_process"
        else multiprocess_executor.configured({"max_concurrent": PIPELINE.settings.threads})
    ),
)
