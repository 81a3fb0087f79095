"""What is told of runs that fail."""

from __future__ import annotations

from collections.abc import Iterator

from dagster import DefaultSensorStatus, RunFailureSensorContext, run_failure_sensor

from assets.internals import SerializableErrorInfo
from assets.resources import EVERY, PIPELINE
from exit_pipeline.errors import ExitPipelineError


def behind(error: SerializableErrorInfo | None) -> SerializableErrorInfo | None:
    """Returns the error of ours behind one of Dagster's, else the innermost."""
    while error is not None and error.cls_name not in OURS and error.cause is not None:
        error = error.cause
    return error


@run_failure_sensor(minimum_interval_seconds=EVERY, default_status=DefaultSensorStatus.RUNNING)
def failure_sensor(context: RunFailureSensorContext) -> None:
    """Writes a line for each failed run to `failures.jsonl`, and posts it to `EXIT_WEBHOOK`."""
    from exit_pipeline.monitoring.failures import tell

    run, steps = context.dagster_run, context.get_step_failure_events()
    error = behind(steps[0].step_failure_data.error) if steps else None
    failure = {
        "profile": PIPELINE.profile.name,
        "job": run.job_name,
        "run": run.run_id,
        "steps": [event.step_key for event in steps],
        "error": error.cls_name if error else "",
    }
    webhook = PIPELINE.settings.webhook
    why = error.message.strip() if error else str(context.failure_event.message)
    tell(PIPELINE.home, failure, why, webhook.get_secret_value() if webhook else None)


def _subclasses(kind: type[ExitPipelineError]) -> Iterator[type[ExitPipelineError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


OURS = {kind.__name__: kind for kind in _subclasses(ExitPipelineError)}
