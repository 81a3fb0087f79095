"""All definitions of the code location, with the policies that hold for every asset."""

from __future__ import annotations

from datetime import timedelta

from dagster import (
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    BackfillPolicy,
    DefaultSensorStatus,
    Definitions,
    in_process_executor,
    multiprocess_executor,
)

from assets import checks, features, ingestion, labels, online, training
from assets.failures import failure_sensor
from assets.jobs import JOBS
from assets.partitions import SETTLING_DAYS
from assets.resources import EVERY, PIPELINE
from assets.schedules import SCHEDULES, put_off_sensor
from assets.sensors import SENSORS
from assets.watch import champion_sensor
from exit_pipeline import __version__

OWNER = "team:recommendations"
STEPS_AT_ONCE = 2  # of a run: each takes EXIT_THREADS threads and EXIT_MEMORY_LIMIT for itself

# A day whose content hash is what it was before sets nothing off.
_NEW_CONTENT = AutomationCondition.any_deps_match(AutomationCondition.data_version_changed())
_AT_REST = ~AutomationCondition.any_deps_in_progress() & ~AutomationCondition.in_progress()
_CHECKED = AutomationCondition.all_deps_blocking_checks_passed()

# What hangs on new data follows it, unless a blocking check said no.
FOLLOW = (
    AutomationCondition.in_latest_time_window(timedelta(days=SETTLING_DAYS))
    & _NEW_CONTENT.since_last_handled()
    # A landing day that is missing holds up labels, which the builder says, and nothing else.
    & ~AutomationCondition.any_deps_missing().ignore(AssetSelection.assets("events"))
    & _AT_REST
    & _CHECKED
).with_label("follow new content")
REFRESH = (_NEW_CONTENT.since_last_handled() & _AT_REST & _CHECKED).with_label("bring it online")


def _with_policies(definition: AssetsDefinition) -> AssetsDefinition:
    """Applies what holds for every asset: owner, code version, automation, single-run backfills."""

    def policies(spec: AssetSpec) -> AssetSpec:
        return spec.replace_attributes(
            owners=[OWNER],
            code_version=f"{__version__}:{PIPELINE.profile.hash[:12]}",
            automation_condition=_automation(spec),
        )

    backfills = BackfillPolicy.single_run() if definition.partitions_def else None
    return definition.map_asset_specs(policies).with_attributes(backfill_policy=backfills)


def _automation(spec: AssetSpec) -> AutomationCondition | None:
    if spec.group_name == "online":
        return REFRESH
    # Landing is read when a schedule says so, and models are trained on a schedule of their own.
    return FOLLOW if spec.partitions_def is not None and spec.deps else None


ASSETS = [
    _with_policies(definition)
    for module in (ingestion, labels, features, training, online)
    for definition in module.ASSETS
]


defs = Definitions(
    assets=ASSETS,
    asset_checks=checks.CHECKS,
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=[
        *SENSORS,
        put_off_sensor,
        champion_sensor,
        failure_sensor,
        AutomationConditionSensorDefinition(
            "automation",
            target=AssetSelection.all(),
            minimum_interval_seconds=EVERY,
            default_status=DefaultSensorStatus.RUNNING,
            description="Asks for what follows new content.",
        ),
    ],
    resources={"pipeline": PIPELINE},
    executor=(
        in_process_executor
        if PIPELINE.settings.executor == "in_process"
        else multiprocess_executor.configured({"max_concurrent": STEPS_AT_ONCE})
    ),
)
