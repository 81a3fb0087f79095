"""A model, a snapshot and requests drawn from a seed, for tests of the fast scorer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from exit_pipeline.features import input_spec
from exit_pipeline.features.inputs import unit_input, view_columns
from exit_pipeline.model import MODELS, Encoder
from exit_pipeline.profile.learning import ModelSpec
from exit_pipeline.profile.policy import scene_values
from exit_pipeline.ranking.rows import UserRow
from exit_pipeline.ranking.snapshot import Snapshot
from exit_pipeline.times import since_epoch
from exit_pipeline.training.artifact import TrainedModel
from exit_pipeline.training.calibrate import Calibration
from tests.logs import at

NOW = at(40)
UNITS, ITEMS = 12, 60
SCENE = {"hour_band": "evening", "day_kind": "weekday", "place": "home"}


def model(spec, name="exit", seed=0, **changes) -> TrainedModel:
    """An untrained one, whose weights are large enough that its scores spread."""
    small = {"hidden": (24, 16), "side_hidden": (12, 8), "members": 3, "bins": 6}
    sizes = ModelSpec(**{**small, **changes})
    inputs = input_spec(spec)
    words = {column: _words(spec, column) for column in inputs.categorical}
    edges = {column: [0.0, 0.2, 0.5, 1.0, 3.0, 10.0][: 3 + n % 4]
             for n, column in enumerate(inputs.numbers)}  # fmt: skip
    encoder = Encoder(inputs, words, edges, unit_input(spec))
    torch.manual_seed(seed)
    module = MODELS[name](encoder, sizes).eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return TrainedModel(name, module, encoder, sizes, Calibration("platt", 0.9, -0.1), [])


def snapshot(spec, seed=0) -> Snapshot:
    """Items and groups; some are old, and some values are not known."""
    rng, views = np.random.default_rng(seed), view_columns(spec)
    unit = (lambda n: f"i{n}") if spec.interest_unit == "item_id" else (lambda n: f"c{n}")
    groups = [
        (unit(n), f"{band}|home") for n in range(0, UNITS, 2) for band in ("evening", "night")
    ]
    units, cells = zip(*groups, strict=True)
    items = {"item_id": [f"i{n}" for n in range(ITEMS)]}
    return Snapshot(
        spec, _table(spec, items, views["item_features"], rng),
        _table(spec, {"unit": units, "cell": cells}, views["scene_features"], rng),
    )  # fmt: skip


def user(spec, seed=0) -> UserRow:
    """A user with attributes, rates and interest in some units; some of it is not known."""
    rng = np.random.default_rng(seed)
    columns = _columns(spec, view_columns(spec)["user_features"], rng, 1)
    values = {name: found[0] for name, found in columns.items()}
    values["state_us"] = since_epoch(NOW) - int(rng.integers(10**11))
    hold = spec.features.hold_days * 86_400_000_000
    for domain in (spec.target, *spec.sources):
        n = int(rng.integers(UNITS))
        values[f"{domain}_state_us"] = since_epoch(NOW) - int(rng.integers(1.2 * hold))
        prefix = "i" if spec.interest_unit == "item_id" else "c"
        values[f"{domain}_units"] = [f"{prefix}{u}" for u in rng.permutation(2 * UNITS)[:n]]
        ages = rng.integers(60 * 86_400_000_000, size=n)
        values[f"{domain}_last_us"] = (since_epoch(NOW) - ages).tolist()
        values[f"{domain}_counts"] = rng.integers(1, 20, size=n).tolist()
        values[f"{domain}_weights"] = (20 * rng.random(n)).tolist()
    return UserRow(f"u{seed}", values)


def _table(spec, keys, names, rng) -> pa.Table:
    n = len(next(iter(keys.values())))
    ages = rng.integers(int(1.2 * spec.features.ttl_days * 86_400_000_000), size=n)
    return pa.table({**keys, **_columns(spec, names, rng, n), "event_us": since_epoch(NOW) - ages})


def _columns(spec, names, rng, n) -> dict[str, list]:
    """N values by column, a tenth of them None; words are some that no model knows, too."""
    attributes = {**spec.items, **spec.users}
    found = {}
    for name in names:
        if name in attributes and attributes[name].type == "categorical":
            drawn = [_word(spec, name, int(i)) for i in rng.integers(UNITS, size=n)]
        else:
            drawn = (10 * rng.random(n) ** 3).tolist()
        found[name] = [
            None if gone else v for v, gone in zip(drawn, rng.random(n) < 0.1, strict=True)
        ]
    return found


def _words(spec, column) -> list[str]:
    """What a model knows of a column: not the last few."""
    if column == "user_id":
        return ["u0", "u1"]
    if column == "item_id":
        return [f"i{n}" for n in range(ITEMS + 5) if n % 7]
    if column in scene_values(spec):
        return list(scene_values(spec)[column])
    return [_word(spec, column, n) for n in range(UNITS - 2)]


def _word(spec, column, n) -> str:
    return f"c{n}" if column in ("unit", spec.interest_unit) else f"{column}{n}"
