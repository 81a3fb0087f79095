"""What a ranking says of its items; the service's description of its answers is made of it, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from exit_pipeline.ranking.policy import Ruling
from exit_pipeline.ranking.scorer import Scorer, Scores


@dataclass(frozen=True)
class RankedItem:
    """One item of a ranking; `own + bias + Σ carry` is the logit of `score`."""

    rank: Annotated[int, Field(description="From 1.")]
    item_id: Annotated[str, Field(description="As the log has it.")]
    score: Annotated[float, Field(description="The calibrated chance of the profile's outcome.")]
    p_order: Annotated[float, Field(description="The chance of an order.")]
    p_target: Annotated[
        float,
        Field(
            description="The chance by own interest alone as the network says it, before "
            "calibration: σ(own + bias) is another value."
        ),
    ]
    own: Annotated[float, Field(description="Own interest's part of the score's logit.")]
    bias: Annotated[float, Field(description="What calibration adds to the logit.")]
    carry: Annotated[
        dict[str, float], Field(description="By source: the part of the logit that came over.")
    ]
    p_source: Annotated[
        dict[str, float],
        Field(
            description="By source: how surely the user goes on to show interest in the unit there."
        ),
    ]
    p_transfer: Annotated[
        dict[str, float],
        Field(
            description="By source: how strongly this scene lets such interest come over, as "
            "the policy leaves it."
        ),
    ]
    unit: Annotated[
        str | None, Field(description="The item's interest unit; null where it is not known.")
    ]
    policy: Annotated[
        list[Ruling], Field(description="The policy's rules that acted on it, a source each.")
    ] = field(default_factory=list)


@dataclass(frozen=True)
class Ranking:
    """A ranking with what it was made from."""

    user_id: str
    scene: dict[str, str]
    model_version: int
    at: str
    features_as_of: str | None
    items: list[RankedItem]
    flags: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


def best_items(
    scorer: Scorer, items: Sequence[str], units: Sequence[str | None], scores: Scores, k: int
) -> list[RankedItem]:
    """Returns the k best of n items that were scored; of equal ones the smaller id comes first."""
    best, sources = _best(items, scores, k), scorer.sources
    told = scores.take(best)

    def by_source(values: np.ndarray) -> list[dict[str, float]]:
        # A model without source heads carries nothing.
        return [dict(zip(sources, row, strict=True)) if row else {} for row in values.tolist()]

    columns = (
        range(1, len(best) + 1), [items[i] for i in best.tolist()], told.score.tolist(),
        told.p_order.tolist(), told.p_target.tolist(), told.own.tolist(), told.bias.tolist(),
        by_source(told.carry), by_source(told.p_source), by_source(told.p_transfer),
        [units[i] for i in best.tolist()],
        map(scorer.policy.rulings, told.rule.tolist()),
    )  # fmt: skip
    return [RankedItem(*row) for row in zip(*columns, strict=True)]


def _best(items: Sequence[str], scores: Scores, k: int) -> np.ndarray:
    """Sorts only those that score no less than the k-th; NaN, if there were any, comes last."""
    low, among = -scores.score, np.arange(len(items))
    if k < len(items):
        among = np.flatnonzero(~(low > np.partition(low, k - 1)[k - 1]))
    names = np.array([items[i] for i in among.tolist()])
    order = np.lexsort((names, -scores.logit[among], low[among]))
    return among[order[:k]]
