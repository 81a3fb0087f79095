"""The closed loop: what an arm shows, and what follows, is what it learns from."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from exit_pipeline.errors import UsageError
from exit_pipeline.experiments import arms
from exit_pipeline.experiments.studies.loop import AGAINST, ARMS, TINY, run_loop
from exit_pipeline.lake import Lake
from exit_pipeline.settings import Home, load_settings
from exit_pipeline.simulator import SimulationConfig, simulate
from exit_pipeline.simulator.live import live_days


@pytest.mark.slow
def test_what_was_shown_is_what_is_learned_from(tmp_path, monkeypatch):
    fits, train = [], arms.train_model

    def seen(name, inputs, parts, *rest, **options):
        fits.append((name, parts["train"]))
        return train(name, inputs, parts, *rest, **options)

    monkeypatch.setattr(arms, "train_model", seen)
    found = run_loop(load_settings(home=tmp_path, threads=1), quick=True)
    config, days = TINY
    first = config.start + timedelta(days=config.days)
    given = {name for name, files in fits if any(f"ds={first}" in file for file in files)}
    assert given == set(ARMS)
    spans = [*map(str, range(1, days + 1)), "all"]
    told = {(row[0], row[1]): row for row in found["rows"]}
    assert {(day, arm) for day in spans for arm in ARMS} <= set(told)
    # The last day is the first whose models can have learned from a played one.
    counts = [{told[day, arm][3] for arm in ARMS} for day in spans[:-1]]
    assert counts[:-1] == [{"0"}] * (days - 1)
    assert "1" in counts[-1]
    folder = tmp_path / "experiments" / "studies" / "loop-quick"
    assert json.loads((folder / "result.json").read_text())["rows"] == found["rows"]
    assert all(row[4] == "0%" for row in found["rows"] if row[1] == AGAINST)

    learned = {}
    for arm in ARMS:
        lake = Lake(Home(tmp_path / "experiments" / "loop-quick" / arm / "home"))
        rows = ds.dataset(lake.files("training_set", [("ds", "=", first)])).to_table()
        learned[arm] = rows.num_rows, set(rows["item_id"].to_pylist()), pc.sum(rows["y"]).as_py()
    assert len({rows for rows, _, _ in learned.values()}) == 1  # the same requests
    assert learned["exit"][1:] != learned[AGAINST][1:]
    assert all(0 < clicks < rows for rows, _, clicks in learned.values())


def test_what_follows_the_log_after_midnight_lands_on_the_first_day(tmp_path):
    config = SimulationConfig(
        days=3, users=800, items=48, late_share=0.0, duplicate_share=0.0, broken_share=0.0
    )
    simulate(config, tmp_path)
    day = config.start + timedelta(days=2)
    log = pq.read_table(tmp_path / "events" / f"ds={day}" / "part-0.parquet", partitioning=None)
    due = {
        row["event_id"]: row for row in log.to_pylist() if row["event_id"][0] in "con"
        and row["event_id"][1:5] == "0001"
    }  # fmt: skip
    source = next(live_days(config, 2, 12)).source
    assert due
    assert {r["event_id"]: r for r in source.to_pylist() if r["domain"] == "feed"} == due


def test_a_world_that_tires_of_what_it_is_shown_is_refused():
    config = replace(TINY[0], world="B")
    with pytest.raises(UsageError, match="what is shown today"):
        next(live_days(config, 2, 12))


def test_the_same_follows_whoever_shows_it():
    config = SimulationConfig(days=3, users=50, items=48)
    today, again = (next(live_days(config, 2, 12)) for _ in range(2))
    requests = list(today.requests())
    assert requests == list(again.requests())
    first = np.arange(len(requests))[:, None] * 12 + np.arange(6)
    last = first + 6
    mixed = np.concatenate([first[:, :3], last[:, :3]], axis=1)
    followed = [
        {tuple(row.values()) for row in today.followed(shown).drop_columns(["event_id"]).to_pylist()}
        for shown in (first, last, mixed)
    ]  # fmt: skip
    assert followed[0]
    assert followed[2] <= followed[0] | followed[1]
    assert today.exposures(first).sum() == 6 * len(requests)
