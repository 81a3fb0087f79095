"""Where the pipeline stands, as the lake and the registry say, for whoever is on call."""

from __future__ import annotations

import logging
import math
from collections import Counter
from datetime import UTC, date, datetime, time

from exit_pipeline.errors import ExitPipelineError
from exit_pipeline.lake import Lake
from exit_pipeline.monitoring.figures import kept_figures
from exit_pipeline.registry import Registry
from exit_pipeline.serving.metrics import Metrics

TABLES = ("events", "quarantine", "icl_labels", "training_set", "user_features", "user_interest")
LOOK_SECONDS = 15.0  # as often as Prometheus asks
log = logging.getLogger(__name__)


class PipelineMetrics:
    """Brings the figures of the pipeline into the service's metrics.

    Args:
        lake: Has the tables.
        registry: Has the versions.
        metrics: Where the figures go.
    """

    def __init__(self, lake: Lake, registry: Registry, metrics: Metrics) -> None:
        self.lake, self.registry, self.metrics = lake, registry, metrics
        self.watched: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Reads the tables' days, what the watch measured, and what was decided of versions."""
        try:
            self._tables()
            self._watch()
            self._versions()
        except Exception as error:  # noqa: BLE001 — figures must not end the service
            log.error("no figures of the pipeline", extra={"kind": type(error).__name__})
        else:
            self.metrics.looked.set_to_current_time()

    def _tables(self) -> None:
        rows = {
            table: {day: state.rows for day, state in self.lake.days(table).items() if state.rows}
            for table in TABLES
        }
        for table, days in rows.items():
            if days:
                self.metrics.table_day.labels(table).set(_start(max(days)))
                self.metrics.table_rows.labels(table).set(days[max(days)])
        if rows["events"]:
            newest = max(rows["events"])
            broken = rows["quarantine"].get(newest, 0)
            self.metrics.quarantined.set(broken / (broken + rows["events"][newest]))

    def _watch(self) -> None:
        found = {
            (check, figure): value
            for check, figures in kept_figures(self.lake.home).items()
            for figure, value in figures.items()
        }
        self.watched |= found.keys()
        for one in self.watched:  # a champion that is new has fewer figures
            self.metrics.watch.labels(*one).set(found.get(one, math.nan))

    def _versions(self) -> None:
        try:
            decided = Counter(self.registry.decisions())
        except ExitPipelineError:
            self.metrics.registry_up.set(0)
            return
        self.metrics.registry_up.set(1)
        self.metrics.versions.clear()  # of a decision that holds for none any more nothing is told
        for decision, versions in decided.items():
            self.metrics.versions.labels(decision).set(versions)


def _start(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
