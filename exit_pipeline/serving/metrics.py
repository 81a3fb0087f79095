"""What the service counts, for Prometheus; no label names a person or an item."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = one = CollectorRegistry()
        self.requests = Counter(
            "exit_requests", "Requests answered.", ["route", "status"], registry=one
        )
        self.seconds = Histogram(
            "exit_request_seconds",
            "Seconds to an answer.",
            ["route"],
            buckets=SECONDS,
            registry=one,
        )
        self.inside = Gauge("exit_requests_inside", "Requests being answered.", registry=one)
        self.flags = Counter("exit_flags", "Flags in answers.", ["flag"], registry=one)
        self.served = Counter(
            "exit_served", "Rankings and explanations.", ["version"], registry=one
        )
        self.store_up = Gauge("exit_online_store_up", "Whether the last read worked.", registry=one)
        self.store_failures = Counter(
            "exit_online_store_failures", "Reads of the online store that failed.", registry=one
        )
        self.version = Gauge("exit_model_version", "The version in memory.", ["role"], registry=one)
        self.features_at = Gauge(
            "exit_features_timestamp_seconds",
            "Moment of the newest features of items.",
            registry=one,
        )
        self.created = Gauge(
            "exit_model_created_timestamp_seconds", "When it was trained.", ["role"], registry=one
        )
        self.loads = Counter(
            "exit_model_loads", "Versions brought into memory.", ["role"], registry=one
        )
        self.load_failures = Counter(
            "exit_model_load_failures", "Versions that could not be loaded.", ["role"], registry=one
        )
        self.events = Counter(
            "exit_events", "Events pushed, by outcome.", ["outcome"], registry=one
        )
        self.push_failures = Counter(
            "exit_push_failures", "Ticks that brought nothing online that was due.", registry=one
        )
        self.broken_lines = Gauge(
            "exit_push_broken_lines", "Lines of pushed events that cannot be read.", registry=one
        )
        self.kept = Counter("exit_kept", "Rows written to a log.", ["log"], registry=one)
        self.dropped = Counter(
            "exit_dropped", "Rankings that a log had no room for, or could not write.", ["log"],
            registry=one,
        )  # fmt: skip
        self.shadow_overlap = Summary(
            "exit_shadow_overlap", "Share of the items shown that the shadow shows.", registry=one
        )
        self.shadow_correlation = Summary(
            "exit_shadow_rank_correlation", "Spearman's, over all candidates.", registry=one
        )
        self.shadow_seconds = Summary(
            "exit_shadow_seconds", "Seconds to score, of both.", ["role"], registry=one
        )
        self.shadow_dropped = Counter(
            "exit_shadow_dropped", "Rankings that the shadow had no time for.", registry=one
        )

        self._of_the_pipeline(one)

    def _of_the_pipeline(self, one: CollectorRegistry) -> None:
        self.table_day = Gauge(
            "exit_table_day_timestamp_seconds",
            "Start of a table's newest day that has rows.",
            ["table"],
            registry=one,
        )
        self.table_rows = Gauge("exit_table_rows", "Rows of that day.", ["table"], registry=one)
        self.quarantined = Gauge(
            "exit_quarantine_share",
            "Of the newest day with events, rows quarantined to those and the events.",
            registry=one,
        )
        self.watch = Gauge(
            "exit_watch",
            "What the checks of the champion measured last.",
            ["check", "figure"],
            registry=one,
        )
        self.versions = Gauge(
            "exit_versions", "Versions, by the newest decision.", ["decision"], registry=one
        )
        self.registry_up = Gauge(
            "exit_registry_up", "Whether the last look at it worked.", registry=one
        )
        self.looked = Gauge(
            "exit_pipeline_looked_timestamp_seconds",
            "When these figures of the pipeline were read.",
            registry=one,
        )

    def flagged(self, flags: list[str]) -> None:
        """Counts the flags of an answer, whatever numbers they name."""
        for flag in flags:
            self.flags.labels(re.sub(r"\d+", "N", flag)).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text form."""
        return generate_latest(self.registry)
