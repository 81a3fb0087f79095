"""Where the pipeline stands is in the service's metrics, as the lake and the registry have it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from exit_pipeline.errors import RegistryError
from exit_pipeline.monitoring.figures import keep_figures
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.pipeline_metrics import PipelineMetrics
from tests.logs import DAY, PROFILE, SmallLog, at, event
from tests.serving.test_failures import within


class ThreeVersions:
    """A registry of one version promoted and two refused, or out of reach."""

    def __init__(self) -> None:
        self.up, self.said = True, ["promoted", "refused", "refused"]

    def decisions(self) -> list[str]:
        if not self.up:
            raise RegistryError("the store cannot be reached")
        return self.said


def figure(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"exit_{name}", labels)


def test_days_rows_quarantine_and_decisions(tmp_path):
    log = SmallLog(tmp_path, PROFILE + "landing: {broken_share: 0.5}\n")
    versions, metrics = ThreeVersions(), Metrics()
    figures = PipelineMetrics(log.lake, versions, metrics)
    figures.look()
    assert figure(metrics.registry, "table_rows", table="events") is None
    log.land(0, [event("a", at(0))])
    log.land(1, [event("b", at(1)), event("c", at(1)), event("d", at(1)),
                 event("e", at(1), user_id=None)])  # fmt: skip
    log.ingest(0, 1)
    log.label(0, 0)
    figures.look()
    found = {name: figure(metrics.registry, "table_rows", table=name)
             for name in ("events", "quarantine", "icl_labels", "training_set")}  # fmt: skip
    assert found == {"events": 3, "quarantine": 1, "icl_labels": 1, "training_set": None}
    assert figure(metrics.registry, "quarantine_share") == 0.25
    newest = {"events": DAY + timedelta(days=1), "icl_labels": DAY}
    assert {name: _day(metrics, name) for name in newest} == newest
    assert figure(metrics.registry, "versions", decision="refused") == 2
    assert figure(metrics.registry, "registry_up") == 1
    versions.said = ["promoted"]
    figures.look()
    assert figure(metrics.registry, "versions", decision="refused") is None
    versions.up = False
    figures.look()
    assert figure(metrics.registry, "registry_up") == 0


def test_what_the_watch_measured_last(tmp_path):
    log, metrics = SmallLog(tmp_path), Metrics()
    figures = PipelineMetrics(log.lake, ThreeVersions(), metrics)

    def watched(figure_name: str) -> float | None:
        figures.look()
        found = {"check": "feature_drift", "figure": figure_name}
        return figure(metrics.registry, "watch", **found)

    assert watched("largest_psi") is None
    keep_figures(log.lake.home, "feature_drift", {"champion": 1, "largest_psi": 0.31})
    assert watched("largest_psi") == 0.31
    keep_figures(log.lake.home, "feature_drift", {"champion": 2})
    assert watched("champion") == 2
    assert math.isnan(watched("largest_psi"))


def test_the_service_says_so(home):
    service = home.service()
    with TestClient(make_app(service)) as client:
        assert within(20, lambda: "exit_registry_up 1.0" in client.get("/metrics").text)
        text = client.get("/metrics").text
    rows = max((day, state.rows) for day, state in home.lake.days("events").items())[1]
    assert f'exit_table_rows{{table="events"}} {float(rows)}' in text
    assert 'exit_versions{decision="promoted"} 1.0' in text
    assert 'exit_versions{decision="undecided"} 1.0' in text
    created = home.registry.get("champion").created.timestamp()
    found = service.metrics.registry.get_sample_value(
        "exit_model_created_timestamp_seconds", {"role": "champion"}
    )
    assert found == created


def _day(metrics: Metrics, table: str) -> date:
    found = figure(metrics.registry, "table_day_timestamp_seconds", table=table)
    assert found is not None
    return datetime.fromtimestamp(found, UTC).date()
