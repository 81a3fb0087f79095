"""The simulated log: in the contract's form, the same every time, and true to its truth."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from exit_pipeline.errors import UsageError
from exit_pipeline.simulator import SimulationConfig, World, answer, simulate
from exit_pipeline.simulator.rows import EVENTS

CONFIG = SimulationConfig(days=8, users=500, items=240, late_share=0.01, broken_share=0.005)


@pytest.fixture(scope="module", params=["A", "B"])
def log(request, tmp_path_factory):
    config = replace(CONFIG, world=request.param)
    out = tmp_path_factory.mktemp("log") / "landing"
    return config, out, simulate(config, out)


def digest(out):
    return {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*.parquet"))
    }


def test_the_same_bytes_every_time_and_whatever_follows(tmp_path):
    for name, days in (("one", 4), ("two", 4), ("long", 6)):
        simulate(replace(CONFIG, days=days), tmp_path / name)
    one, two, longer = (digest(tmp_path / name) for name in ("one", "two", "long"))
    assert one == two
    assert {name: longer[name] for name in one} == one
    other = simulate(replace(CONFIG, days=4, seed=8), tmp_path / "other")
    assert digest(tmp_path / "other") != one
    assert other["exposures"] > 0


def test_the_contract(log):
    _, out, _ = log
    events = ds.dataset(out / "events").to_table()
    assert events.schema.remove_metadata() == EVENTS
    fine = events.filter(pc.invert(pc.starts_with(events["event_id"], "b")))
    assert set(pc.unique(fine["domain"]).to_pylist()) == {"feed", "search", "channel"}
    ids = fine["event_id"].to_pylist()
    assert 0 < len(ids) - len(set(ids)) < 0.01 * len(ids)  # the planted repeats


def test_faults_are_planted_in_their_shares(log):
    config, _, counts = log
    planted = counts["planted"]
    broken = sum(n for rule, n in planted.items() if rule not in ("late", "repeats", "too_late"))
    assert broken == pytest.approx(config.broken_share * counts["events"] * 7 / 8, rel=0.25)
    assert planted["late"] == pytest.approx(config.late_share * counts["events"], rel=0.25)


def test_the_truth_is_calibrated(log):
    _, out, counts = log
    truth = ds.dataset(out / "truth" / "exposures").to_table()
    events = ds.dataset(out / "events").to_table()
    clicks = events.filter(
        pc.and_(pc.equal(events["event_type"], "click"), pc.equal(events["domain"], "feed"))
    )
    clicked = set(
        pc.replace_substring(clicks["event_id"], "c", "f", max_replacements=1).to_pylist()
    )
    y = np.array([name in clicked for name in truth["event_id"].to_pylist()])
    p = np.asarray(truth["p_click"])
    assert counts["exposures"] == len(p)
    for part in np.array_split(np.argsort(p), 5):
        assert y[part].mean() == pytest.approx(
            p[part].mean(), abs=3.5 * (p[part].mean() / len(part)) ** 0.5 + 0.002
        )


def test_never_means_never(log):
    config, _, _ = log
    assert World(config).transfer[:, :5].max() == 0
    assert World(config).transfer[:, 5:13].min() > 0.1


def test_a_log_is_not_written_over(log):
    config, out, _ = log
    with pytest.raises(UsageError, match="a log already"):
        simulate(config, out)
    with pytest.raises(UsageError, match="no size"):
        SimulationConfig.sized("huge")


def test_the_oracle_ranks_the_truth_above_chance():
    world = World(CONFIG)
    rng = np.random.default_rng(0)
    policies = {"chance": lambda rows: rng.random(rows.num_rows),
                "popular": lambda rows: -np.asarray(pc.cast(pc.utf8_slice_codeunits(rows["item_id"], 1), "int64"))}  # fmt: skip
    found = answer(world, policies, day=6, requests=400)
    gain, low, high = found.difference("truth", "chance", "ctr")
    assert low > 0.5
    assert low < gain < high
    assert found.mean("truth", "ctr") > found.mean("popular", "ctr")
    assert found.difference("chance", "chance", "ctr")[:1] == (0.0,)
