"""The closed loop: what an arm shows, and what follows, is what it learns from."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from exit_pipeline.experiments.studies.loop import AGAINST, ARMS, TINY, run_loop
from exit_pipeline.lake import Lake
from exit_pipeline.settings import Home, load_settings
from exit_pipeline.simulator import SimulationConfig
from exit_pipeline.simulator.live import live_days


@pytest.mark.slow
def test_what_was_shown_is_what_is_learned_from(tmp_path):
    found = run_loop(load_settings(home=tmp_path, threads=1), quick=True)
    config, _ = TINY
    assert [row[:2] for row in found["rows"]] == [
        [day, arm] for day in ("1", "2", "all") for arm in ARMS
    ]
    folder = tmp_path / "experiments" / "studies" / "loop-quick"
    assert json.loads((folder / "result.json").read_text())["rows"] == found["rows"]
    assert all(row[3] == "0%" for row in found["rows"] if row[1] == AGAINST)

    first = config.start + timedelta(days=config.days)
    learned = {}
    for arm in ARMS:
        lake = Lake(Home(tmp_path / "experiments" / "loop-quick" / arm / "home"))
        rows = ds.dataset(lake.files("training_set", [("ds", "=", first)])).to_table()
        learned[arm] = rows.num_rows, set(rows["item_id"].to_pylist()), pc.sum(rows["y"]).as_py()
    assert len({rows for rows, _, _ in learned.values()}) == 1  # the same requests
    assert learned["exit"][1:] != learned[AGAINST][1:]
    assert all(0 < clicks < rows for rows, _, clicks in learned.values())


def test_the_same_follows_whoever_shows_it():
    config = SimulationConfig(days=3, users=50, items=48)
    today, again = (next(live_days(config, 2, 12)) for _ in range(2))
    requests = list(today.requests())
    assert requests == list(again.requests())
    first = np.arange(len(requests))[:, None] * 12 + np.arange(6)
    last = first + 6
    mixed = np.concatenate([first[:, :3], last[:, :3]], axis=1)
    followed = [
        {tuple(row.values()) for row in today.followed(shown).select(["user_id", "item_id", "event_type", "ts"]).to_pylist()}
        for shown in (first, last, mixed)
    ]  # fmt: skip
    assert followed[0]
    assert followed[2] <= followed[0] | followed[1]
    assert today.exposures(first).sum() == 6 * len(requests)
