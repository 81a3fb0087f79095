"""Scoring one request's candidates in process, against the bare products it cannot do without."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from exit_pipeline.bench.training import TOWERS
from exit_pipeline.features import input_spec
from exit_pipeline.features.inputs import view_columns
from exit_pipeline.model import MODELS, Encoder, InputSpec
from exit_pipeline.profile import ProfileSpec, load_profile
from exit_pipeline.profile.learning import ModelSpec
from exit_pipeline.profile.policy import scene_values
from exit_pipeline.ranking.fast_scorer import FastScorer, Request
from exit_pipeline.ranking.rows import UserRow
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.ranking.snapshot import Snapshot
from exit_pipeline.serving.run import FREED
from exit_pipeline.times import since_epoch
from exit_pipeline.training.artifact import TrainedModel
from exit_pipeline.training.calibrate import Calibration
from exit_pipeline.training.device import keep_freed

CANDIDATES = 200
UNITS, INTERESTS = 24, 8
WORDS = tuple(f"c{n}" for n in range(UNITS))
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SCENE = {"hour_band": "day", "day_kind": "weekday", "place": "home"}


def scoring(name: str, items: int, rounds: int) -> dict[str, float]:
    """CPU µs of a request, by the fast scorer and of its bare products, in turn in one thread."""
    torch.set_num_threads(1)
    keep_freed(FREED)  # as the service does
    spec = load_profile("simulated").spec
    snapshot, user = _snapshot(spec, items), _user(spec)
    model = untrained(name, spec, items)
    fast, ids = FastScorer(Scorer(model), snapshot), snapshot.catalogue[: CANDIDATES * 5 : 5]

    def request() -> Request:
        return fast.request(user, snapshot.candidates(ids, NOW), SCENE, NOW)

    ready = request()
    rows, _ = snapshot.rows(user, ids, SCENE, NOW)
    gap = np.abs(fast.scores(ready).score - Scorer(model).score(rows).score).max()
    works: dict[str, Callable[[], Any]] = {
        "score": lambda: fast.scores(ready),
        "floor": Products(fast),
        "features": request,
    }
    taken = least(works, rounds)
    return {**{f"{name}_us": us for name, us in taken.items()}, "largest_gap": float(gap)}


class Products:
    """The matrix products of a request, of the fast scorer's shapes, and nothing else.

    The first layer's, of those columns of user and scene whose words are not few; each net's other
    layers, for all candidates.
    """

    def __init__(self, fast: FastScorer) -> None:
        shapes = [(1, 1, *weight.shape) for _, _, weight in fast.shares["request"].many]
        for net in fast.nets.nets:
            shapes += [(m, CANDIDATES, i, o) for m, i, o in (w.shape for w in net.weights)]
            m, out, width = net.head.shape
            shapes.append((m, out, width, CANDIDATES))
        self.tensors = [
            (torch.randn(m, a, b), torch.randn(m, b, c), torch.empty(m, a, c))
            for m, a, b, c in shapes
        ]

    @torch.inference_mode()
    def __call__(self) -> None:
        """Multiplies them all once."""
        for a, b, out in self.tensors:
            torch.bmm(a, b, out=out)


def least(works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """CPU µs of one call of each, the least over rounds in which all take turns."""
    least = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = time.process_time_ns()
            work()
            least[name] = min(least[name], (time.process_time_ns() - started) / 1000)
    return {name: round(us, 1) for name, us in least.items()}


def untrained(
    name: str, spec: ProfileSpec, items: int, words: Sequence[str] = WORDS
) -> TrainedModel:
    """A model as initialized: what its weights are does not change what scoring costs.

    Args:
        name: `exit`, or `towers`: the reference configuration.
        spec: The profile's.
        items: How many it has an id of.
        words: What it knows in each categorical column.
    """
    own = input_spec(spec)
    if name == "towers":  # eight columns, no numbers
        columns = tuple(column for column in own.categorical if column != "age_band")
        own = InputSpec(columns, (), dict.fromkeys(spec.sources, ()))
    sizes = {"user_id": [f"u{n}" for n in range(1000)], "item_id": [f"i{n}" for n in range(items)]}
    known = {column: list(words) for column in own.categorical} | {
        column: list(values) for column, values in scene_values(spec).items()
    }
    edges = {column: np.linspace(0, 4, 17).tolist() for column in own.numbers}
    encoder = Encoder(own, known | sizes, edges, "unit")
    form = TOWERS if name == "towers" else ModelSpec()
    torch.manual_seed(0)
    module = MODELS[name](encoder, form).eval()
    return TrainedModel(name, module, encoder, form, Calibration("platt"), [])


def _snapshot(spec: ProfileSpec, items: int) -> Snapshot:
    rng, views = np.random.default_rng(0), view_columns(spec)
    bands, places = (scene_values(spec)[name] for name in ("hour_band", "place"))
    keys = [(f"c{u}", f"{b}|{p}") for u in range(UNITS) for b in bands for p in places]
    units, cells = zip(*keys, strict=True)

    def table(keys: dict[str, Any], names: list[str]) -> pa.Table:
        n = len(next(iter(keys.values())))
        columns: dict[str, Any] = {}
        for name in names:
            words = name in spec.items and spec.items[name].type == "categorical"
            drawn = rng.integers(UNITS, size=n)
            columns[name] = [f"c{i}" for i in drawn] if words else 4 * rng.random(n)
        return pa.table({**keys, **columns, "event_us": np.full(n, since_epoch(NOW))})

    ids = {"item_id": [f"i{n}" for n in range(items)]}
    return Snapshot(
        spec, table(ids, views["item_features"]),
        table({"unit": units, "cell": cells}, views["scene_features"]),
    )  # fmt: skip


def _user(spec: ProfileSpec) -> UserRow:
    """Interest in 8 units in each domain."""
    values: dict[str, Any] = {"segment": "c1", "age_band": "c2", "state_us": since_epoch(NOW)}
    values |= {n: 2.0 for n in view_columns(spec)["user_features"] if n not in values}
    for domain in (spec.target, *spec.sources):
        values |= {
            f"{domain}_state_us": since_epoch(NOW),
            f"{domain}_units": list(WORDS[:INTERESTS]),
            f"{domain}_last_us": [since_epoch(NOW) - 10**9] * INTERESTS,
            f"{domain}_counts": [2] * INTERESTS, f"{domain}_weights": [1.5] * INTERESTS,
        }  # fmt: skip
    return UserRow("u1", values)
