"""Another version beside the champion: scored in its shadow, or shown to a share of users."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from exit_pipeline.evaluation.metrics import spearman
from exit_pipeline.serving.champion import Loaded, Question, Ranked
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.slot import Slot

WAITING = 32  # more rankings than this are not kept for the shadow
KEPT = 10_000  # the report is over the last of them
log = logging.getLogger(__name__)


def chosen(key: str, share: float, salt: str) -> bool:
    """Whether an id is of a share, as a canary's users are: the same ids every time.

    Args:
        key: A user's id, or a request's.
        share: From 0 to 1; a larger one holds everyone of a smaller one.
        salt: Another one chooses others.
    """
    digest = hashlib.sha256(f"{salt}|{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True)
class Compared:
    """Two versions' answers to one question."""

    overlap: float
    correlation: float
    champion_seconds: float
    shadow_seconds: float


class Shadow:
    """Scores the questions of the champion with another version, after they were answered.

    Args:
        slot: The other version.
        metrics: Where what differs is counted.
    """

    def __init__(self, slot: Slot, metrics: Metrics) -> None:
        self.slot, self.metrics = slot, metrics
        self.threads = ThreadPoolExecutor(1, "shadow")
        self.waiting, self.dropped = 0, 0
        self.versions: tuple[int | None, int | None] = (None, None)
        self.compared: deque[Compared] = deque(maxlen=KEPT)

    def beside(self, champion: Loaded, question: Question, ranked: Ranked) -> None:
        """Lets the shadow answer a question too, unless it lags; returns at once."""
        other = self.slot.loaded
        if other is None or not ranked.items:
            return
        if self.waiting >= WAITING:
            self.dropped += 1
            self.metrics.shadow_dropped.inc()
            return
        versions = champion.version.version, other.version.version
        self.waiting += 1
        self.threads.submit(self._compare, versions, other, question, ranked).add_done_callback(
            self._done
        )

    def report(self) -> dict[str, Any]:
        """Means over the last questions that both versions answered."""
        found = list(self.compared)

        def mean(name: str, factor: float = 1.0) -> float | None:
            values = [getattr(one, name) for one in found]
            return factor * float(np.nanmean(values)) if found else None

        return {
            "champion": self.versions[0],
            "shadow": self.versions[1],
            "problem": str(self.slot.problem) if self.slot.problem else None,
            "compared": len(found),
            "dropped": self.dropped,
            "overlap_at_k": mean("overlap"),
            "rank_correlation": mean("correlation"),
            "champion_ms": mean("champion_seconds", 1000),
            "shadow_ms": mean("shadow_seconds", 1000),
        }

    def close(self) -> None:
        """Lets go of what waits."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _compare(
        self, versions: tuple[int, int], other: Loaded, question: Question, ranked: Ranked
    ) -> None:
        # The same candidates, though the two may have been loaded at different days.
        again = other.rank(replace(question, candidates=ranked.candidates))
        shown, would = ({item.item_id for item in one.items} for one in (ranked, again))
        if versions != self.versions:  # only this thread changes it
            self.compared.clear()
            self.versions = versions
        one = Compared(
            overlap=len(shown & would) / len(shown),
            correlation=rank_correlation(ranked.scores, again.scores),
            champion_seconds=ranked.seconds,
            shadow_seconds=again.seconds,
        )
        self.metrics.shadow_overlap.observe(one.overlap)
        self.metrics.shadow_correlation.observe(one.correlation)
        self.metrics.shadow_seconds.labels("champion").observe(one.champion_seconds)
        self.metrics.shadow_seconds.labels("challenger").observe(one.shadow_seconds)
        self.compared.append(one)

    def _done(self, future: Future[None]) -> None:
        self.waiting -= 1
        if not future.cancelled() and (error := future.exception()):
            log.error("shadow failed", exc_info=error)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of two float64[n]; 1 where there is nothing to order.

    Args:
        a: Scores by one version.
        b: Scores of the same items by another.
    """
    found = spearman(a, b)
    return 1.0 if np.isnan(found) else found
