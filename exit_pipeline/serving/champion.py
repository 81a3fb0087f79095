"""A version in memory, ready to rank; a request holds one from its start to its end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from exit_pipeline.lake import Lake
from exit_pipeline.profile import Profile, ProfileSpec
from exit_pipeline.ranking.fast_scorer import FastScorer
from exit_pipeline.ranking.nets import FORMS
from exit_pipeline.ranking.rank import scene_flags
from exit_pipeline.ranking.ranked import RankedItem, best_items
from exit_pipeline.ranking.rows import UserRow, item_flags
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.ranking.snapshot import Candidates, Snapshot
from exit_pipeline.registry import Registry, Version
from exit_pipeline.settings import Settings


@dataclass(frozen=True)
class Question:
    """What is to be ranked: for whom, in which complete scene, when.

    Args:
        user: What is known of who asks.
        scene: Complete (see `scene_of`).
        at: The request's time.
        candidates: Items, each once; None for the whole catalogue.
        k: How many of them to return.
    """

    user: UserRow
    scene: Mapping[str, str]
    at: datetime
    candidates: Sequence[str] | None
    k: int


@dataclass(frozen=True)
class Ranked:
    """An answer: the best items, with the score of every candidate and the seconds it took."""

    items: list[RankedItem]
    flags: list[str]
    candidates: Sequence[str]
    scores: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Loaded:
    """One version with the item side it scores on; nothing of it changes once it is made.

    The fast scorer ranks; a version of a form that it does not know is ranked by the scorer.
    """

    version: Version
    scorer: Scorer
    fast: FastScorer | None
    items: Snapshot
    spec: ProfileSpec
    since: datetime

    @classmethod
    def load(cls, settings: Settings, lake: Lake, profile: Profile, number: int) -> Loaded:
        """Reads a version's files, whose hash is checked, and the item side.

        Raises:
            RegistryError: There is no such version, or the registry cannot be read.
            ModelFileError: A file of the model is missing or was changed.
            LakeError: There are no features.
            ProfileError: The policy names what the version does not know.
            UsageError: The version cannot be governed.
        """
        registry = Registry(lake.home, profile.name)
        scorer = Scorer.load(registry.folder(number), profile.spec.policy)
        items = Snapshot.load(settings, lake, profile.spec)
        known = isinstance(scorer.model.module, FORMS)
        fast = FastScorer(scorer, items) if known else None
        return cls(registry.get(number), scorer, fast, items, profile.spec, datetime.now(UTC))

    def rank(self, question: Question) -> Ranked:
        """Ranks the candidates; none, and a flag, where there is nothing to rank."""
        given = self.items.catalogue if question.candidates is None else question.candidates
        if not given:
            return Ranked([], ["there is no item to rank"], [], np.zeros(0), 0.0)
        started = time.perf_counter()
        found = self.items.candidates(given, question.at)
        if self.fast:
            scores = self.fast.score(question.user, found, question.scene, question.at)
        else:
            scores = self.scorer.score(self.rows(question, given))
        flags = self._flags(question, found)
        best = best_items(self.scorer, given, found.units, scores, question.k)
        return Ranked(best, flags, given, scores.score, time.perf_counter() - started)

    def explain(self, question: Question, item_id: str) -> dict[str, Any]:
        """Takes one item apart: its parts, and every input that the model read."""
        found, rows = self.items.candidates([item_id], question.at), self.rows(question, [item_id])
        scores = self.scorer.score(rows)
        spec, row = self.scorer.model.encoder.spec, rows.to_pylist()[0]

        def values(names: Sequence[str]) -> dict[str, Any]:
            return {name: row[name] for name in names}

        return {
            "item": best_items(self.scorer, [item_id], found.units, scores, 1)[0],
            "logit": float(scores.own[0] + scores.carry[0].sum() + scores.bias[0]),
            "inputs": {
                "categorical": values(spec.categorical),
                "numeric": values(spec.numeric),
                "sources": {s: values(names) for s, names in spec.source_numeric.items()},
            },
            "flags": self._flags(question, found),
        }

    def rows(self, question: Question, items: Sequence[str]) -> pa.RecordBatch:
        """The scorer's inputs of some items."""
        return self.items.rows(question.user, items, question.scene, question.at)[0]

    def _flags(self, question: Question, found: Candidates) -> list[str]:
        of_items = item_flags(self.spec, found.unknown, found.old)
        return [*scene_flags(self.spec, question.scene), *question.user.flags, *of_items]
