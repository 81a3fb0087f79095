"""Materializes the graph without the UI: the same definitions, one run a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import date

from dagster import (
    AssetSelection,
    DagsterInstance,
    ExecuteInProcessResult,
    materialize,
)

from assets.checks import CHECKS
from assets.definitions import ASSETS, defs
from assets.failures import OURS, behind
from assets.features import ASSETS as FEATURES
from assets.instance import BY_COMMAND, close_dead_runs, has_ui, only_run, open_instance
from assets.internals import DagsterInvalidAssetSelectionError, DagsterInvalidSubsetError
from assets.labels import ASSETS as LABELS
from assets.partitions import range_tags
from assets.plan import Stage, built_on, stages
from assets.resources import PIPELINE
from exit_pipeline.errors import ExitPipelineError, UsageError
from exit_pipeline.ingest import landed_days
from exit_pipeline.lake.aside import set_aside

# What the engine fills: it takes seconds to start, and a run of a model alone needs none.
_OF_ENGINE = {key.path[-1] for asset in (*LABELS, *FEATURES) for key in asset.keys}


def run_graph(
    first: date | None = None,
    last: date | None = None,
    select: str | None = None,
    on_stage: Callable[[Stage], None] = lambda stage: None,
    *,
    full_refresh: bool = False,
) -> list[Stage]:
    """Materializes the graph for the landing days `first`…`last`, stage after stage.

    Args:
        first: The first landing day; by default the first that has landed.
        last: The last landing day; by default the newest that has landed.
        select: A Dagster asset selection; by default everything.
        on_stage: Called before each stage.
        full_refresh: Put the lake's tables aside first; landing files and models stay.

    Returns:
        The stages that were run.

    Raises:
        UsageError: Nothing has landed, or the days or the selection do not fit.
        LakeError: Another such run is going on in this home.
        ExitPipelineError: A step failed; the error is the step's own.
    """
    if full_refresh and (first or last or select):
        raise UsageError(
            "a full refresh puts every table aside, so it builds all of them again",
            mend="give --full-refresh without --from, --to and --select",
        )
    first, last = _days(first, last)
    return _run(stages(first, last), _chosen(select), on_stage, full_refresh=full_refresh)


def catch_up(
    first: date, last: date, touched: date, on_stage: Callable[[Stage], None]
) -> list[Stage]:
    """Builds again what landing days that are in the lake re-opened; no landing file is read.

    Args:
        first: The first landing day.
        last: The last landing day.
        touched: The first day whose events they changed.
        on_stage: Called before each stage.

    Returns:
        The stages that were run.

    Raises:
        LakeError: Another such run is going on in this home.
        ExitPipelineError: A step failed; the error is the step's own.
    """
    return _run(built_on(first, last, touched), _chosen(None), on_stage)


def _run(
    plan: Iterable[Stage],
    chosen: set[str],
    on_stage: Callable[[Stage], None],
    *,
    full_refresh: bool = False,
) -> list[Stage]:
    """Runs the chosen part of each stage; a plan is drawn up while it is run."""
    done = []
    with (
        only_run(PIPELINE.home),
        open_instance(PIPELINE.home) as instance,
        nullcontext() if chosen.isdisjoint(_OF_ENGINE) else PIPELINE.held_engine(),
    ):
        close_dead_runs(instance, by_command=True, by_ui=not has_ui(PIPELINE.home))
        if full_refresh:
            set_aside(PIPELINE.lake("refresh"))
        for planned in plan:
            assets = tuple(name for name in planned.assets if name in chosen)
            if not assets or (planned.first and planned.last and planned.first > planned.last):
                continue
            stage = Stage(assets, planned.first, planned.last)
            on_stage(stage)
            _materialize(stage, instance)
            done.append(stage)
    return done


def _materialize(stage: Stage, instance: DagsterInstance) -> ExecuteInProcessResult:
    tags = dict(BY_COMMAND)
    if stage.first and stage.last:
        tags |= range_tags(stage.first, stage.last)
    result = materialize(
        [*ASSETS, *CHECKS],
        selection=AssetSelection.assets(*stage.assets),
        resources={"pipeline": PIPELINE},
        instance=instance,
        tags=tags,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    if not result.success:
        raise _reason(stage, result)
    return result


def _reason(stage: Stage, result: ExecuteInProcessResult) -> ExitPipelineError:
    """The error of ours behind a failed run, or one that says which step and where to look."""
    failed = result.get_step_failure_events()
    error = behind(failed[0].step_failure_data.error) if failed else None
    message = error.message.split(": ", 1)[-1].strip() if error else "for no stated reason"
    if error is not None and error.cls_name in OURS:
        return OURS[error.cls_name].read(message)
    return ExitPipelineError(
        f"the step {failed[0].step_key!r} failed: {message}" if failed
        else "the run did not succeed, though no step of it failed",
        where=stage.title,
        mend="`exit-pipeline ui` shows the run with its log",
    )  # fmt: skip


def _days(first: date | None, last: date | None) -> tuple[date, date]:
    landed = landed_days(PIPELINE.profile, PIPELINE.home)
    spec = PIPELINE.profile.spec
    first = first or (landed[0] if landed else spec.start)
    last = last or (landed[-1] if landed else spec.end)
    if last is None:
        raise UsageError(
            "nothing has landed",
            where=str(PIPELINE.home.landing),
            mend="land Parquet files under `ds=YYYY-MM-DD/`, or give --from and --to",
        )
    if first > last:
        raise UsageError(f"{first} is after {last}", mend="give --from the earlier day")
    if first < spec.start or (spec.end and last > spec.end):
        raise UsageError(
            f"the days {first} … {last} are not days of this log",
            where=f"profile {spec.name!r}: start {spec.start}, end {spec.end or 'open'}",
            mend="give --from and --to within them; a log that goes on has no `end`",
        )
    return first, last


def _chosen(select: str | None) -> set[str]:
    graph = defs.resolve_asset_graph()
    if select is None:
        return {key.path[-1] for key in graph.materializable_asset_keys}
    try:
        parts = [AssetSelection.from_string(part.strip()) for part in select.split(",")]
        # Tables that one step writes come together.
        chosen = [part.required_multi_asset_neighbors() | part for part in parts]
        keys = {key for part in chosen for key in part.resolve(graph)}
    except (DagsterInvalidAssetSelectionError, DagsterInvalidSubsetError):
        keys = set()
    if not keys:
        raise UsageError(
            f"no asset matches {select!r}",
            mend="names and operators are Dagster's: `icl_labels`, `+training_set`, `group:labels`",
        )
    return {key.path[-1] for key in keys}
