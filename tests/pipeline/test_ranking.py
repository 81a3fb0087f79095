"""Rankings out of the online store: of the same inputs as offline, and at the edges."""

from __future__ import annotations

import json
from copy import copy
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from exit_pipeline.cli.operate import demo
from exit_pipeline.errors import RegistryError, UsageError
from exit_pipeline.features import input_spec
from exit_pipeline.features.training_set import state_features
from exit_pipeline.lake import Lake, connect
from exit_pipeline.ranking.rank import Ranker
from exit_pipeline.registry import CHAMPION, Registry
from exit_pipeline.settings import Home, load_settings


@pytest.fixture(scope="module")
def ranker(small_home, simulated):
    registry = Registry(small_home.lake.home, "simulated")
    if registry.find(CHAMPION) is None:
        registry.force(1, "these tests need a champion")
    return Ranker(load_settings(home=small_home.root), small_home.lake, simulated)


OLD = timedelta(days=30)  # the TTL
USERS = ("u0000001", "u0000007", "u0000100", "nobody")


@pytest.mark.parametrize("later", [timedelta(0), OLD, OLD + timedelta(microseconds=1)])
def test_the_scorers_inputs_are_equal_offline_and_online(ranker, simulated, later):
    at = ranker.newest() + later
    items = [*ranker.catalogue()[:40], "nothing"]
    scene = {"hour_band": "night", "day_kind": "weekday", "place": "home"}
    for user in USERS:
        online, flags = ranker.rows(user, items, scene, at)
        assert ("unknown user: defaults are used" in flags) == (user == "nobody")
        offline = offline_rows(ranker, simulated, user, online, at)
        spec = input_spec(simulated.spec)
        for column in spec.columns:
            ours, theirs = (
                rows.column(column).cast(
                    pa.string() if column in spec.categorical else pa.float64()
                )
                for rows in (online, offline)
            )
            assert ours.to_pylist() == theirs.to_pylist(), column
        assert (ranker.scorer.score(online).score == ranker.scorer.score(offline).score).all()
        known = online.column("item_shown").null_count < len(items)
        assert known == (later <= OLD)


def test_rankings_at_the_edges(ranker, small_home, simulated, tmp_path):
    some = ranker.rank("u0000001", {"place": "out", "hour_band": "evening"}, k=3)
    assert [item.rank for item in some.items] == [1, 2, 3]
    everything = ranker.rank("u0000001", {}, k=10_000)
    assert sorted(item.item_id for item in everything.items) == ranker.catalogue()
    twice = ranker.rank("u0000001", {}, candidates=["i000001", "i000001", "nothing"])
    assert sorted(item.item_id for item in twice.items) == ["i000001", "nothing"]
    assert "1 unknown items: defaults are used" in twice.flags
    none = ranker.rank("u0000001", {}, candidates=[])
    assert (none.items, none.flags) == ([], ["there is no item to rank"])
    stranger = ranker.rank("nobody", {}, k=2)
    assert len(stranger.items) == 2
    assert stranger.flags == [
        "the scene has no place: taken as unknown",
        "unknown user: defaults are used",
    ]
    for scene, words in (({"place": "moon"}, "no such value"), ({"mood": "good"}, "no such scene")):
        with pytest.raises(UsageError, match=words):
            ranker.rank("u0000001", scene)
    with pytest.raises(UsageError, match="0 items"):
        ranker.rank("u0000001", {}, k=0)
    with pytest.raises(RegistryError, match="champion"):
        Ranker(ranker.settings, Lake(load_settings(home=tmp_path).home_of("new")), simulated)


def test_a_catalogue_of_no_items(ranker, small_home, simulated, tmp_path):
    empty = Lake(Home(tmp_path))
    with connect(ranker.settings, empty.home) as connection:
        small_home.lake.view(connection, "item_features")
        connection.execute("create temp table none as from item_features limit 0")
        day = small_home.lake.days("item_features")
        empty.replace(connection, "item_features", "none", [max(day)])
    nothing = copy(ranker)
    nothing.lake = empty
    ranking = nothing.rank("u0000001", {})
    assert (ranking.items, ranking.flags) == ([], ["there is no item to rank"])


def offline_rows(ranker, profile, user, online, at):
    """The same rows by the training set's point-in-time join."""
    context = ["hour_band", "day_kind", *profile.spec.context]
    entity = pa.table(
        {
            **{name: online.column(name) for name in ("user_id", "item_id", "unit", *context)},
            "cell": pa.array(["night|home"] * online.num_rows),
            "event_timestamp": pa.array([at] * online.num_rows, pa.timestamp("us", "UTC")),
        }
    )
    job = ranker.store.get_historical_features(
        entity_df=entity.to_pandas(), features=ranker.store.get_feature_service("ranking")
    )
    batch = job.to_arrow().combine_chunks().to_batches()[0]
    for name, values in state_features(batch, profile.spec).items():
        batch = batch.append_column(name, values)
    return batch


def test_the_demo_explains_a_ranking_and_says_where_all_lies(
    ranker, small_home, monkeypatch, capsys
):
    monkeypatch.setenv("EXIT_HOME", str(small_home.root))
    monkeypatch.setenv("EXIT_PROFILE", "simulated")
    monkeypatch.setattr("exit_pipeline.cli.data.materialize", lambda *_, **__: None)
    demo(json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["ranking"]["user_id"] == ranker.example_user()
    assert told["ranking"]["items"][0]["carry"]["search"] > 0
    assert Path(told["report"]).name == f"v{told['ranking']['model_version']}.html"
    for place in ("home", "report", "data_docs"):
        assert Path(told[place]).exists()
    demo(json=False)
    printed = "".join(capsys.readouterr().out.split())  # lines may be broken anywhere
    for place in ("home", "ui", "report", "registry", "data_docs"):
        assert told[place].replace(" ", "") in printed
