"""A policy acts on a ranking out of the online store, is named there, and its cost is told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from exit_pipeline.errors import ProfileError
from exit_pipeline.profile import load_profile
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.rank import Ranker
from exit_pipeline.ranking.rows import UserReader
from exit_pipeline.registry import CHAMPION, Registry
from exit_pipeline.settings import load_settings

SCENE = {"hour_band": "evening", "place": "home"}


@pytest.fixture(scope="module")
def ranker_with(small_home, simulated):
    registry = Registry(small_home.lake.home, "simulated")
    if registry.find(CHAMPION) is None:
        registry.force(1, "these tests need a champion")

    def make(*rules):
        spec = simulated.spec.model_copy(update={"policy": rules})
        settings = load_settings(home=small_home.root)
        return Ranker(settings, small_home.lake, replace(simulated, spec=spec))

    return make


@pytest.fixture
def searched(monkeypatch):
    """Lets every user have searched for other things, and more of them, from the store on."""
    read = UserReader.__call__

    def changed(self, user_id, at):
        found = read(self, user_id, at)
        us = found.values["state_us"]
        other = {
            "user_search": 99,
            "search_state_us": us, "search_units": ["novels", "toys"],
            "search_last_us": [us, us - 60], "search_counts": [40, 7],
            "search_weights": [38.5, 6.5],
        }  # fmt: skip
        return replace(found, values=found.values | other)

    return lambda: monkeypatch.setattr(UserReader, "__call__", changed)


def everything(ranker):
    return {item.item_id: item for item in ranker.rank("u0000001", SCENE, k=10_000).items}


@pytest.mark.parametrize("unit", [None, "novels"])
def test_nothing_of_a_forbidden_source_reaches_a_ranking(ranker_with, searched, unit):
    rule = RuleSpec(source="search", unit=unit, forbid=True, reason="a test")
    governed, free = ranker_with(rule), ranker_with()
    before, freely = everything(governed), everything(free)
    searched()
    after = everything(governed)
    ruled = [name for name, item in before.items() if unit in (None, item.unit)]
    others = before.keys() - ruled
    assert ruled
    for name in ruled:
        assert replace(before[name], rank=0) == replace(after[name], rank=0)
        assert before[name].carry["search"] == 0
        assert [(p.source, p.rule, p.effect) for p in before[name].policy] == [
            ("search", "policy.0", "forbidden")
        ]
    assert all(replace(before[n], rank=0) == replace(freely[n], rank=0) for n in others)
    assert any(before[name].score != after[name].score for name in others) == bool(others)
    changed = everything(free)
    assert all(changed[name].score != freely[name].score for name in ruled)


def test_an_unknown_unit_is_refused_where_it_meets_the_model(ranker_with):
    with pytest.raises(ProfileError, match="did you mean 'novels'"):
        ranker_with(RuleSpec(unit="novel", forbid=True, reason="a test"))


POLICY = """
policy:
  - {source: search, scene: {hour_band: evening}, cap: 0.1, reason: evenings are for the feed}
"""


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("governed") / "profile"
    shutil.copytree(load_profile("simulated").file.parent, folder)
    file = folder / "profile.yaml"
    file.write_text(file.read_text("utf-8") + POLICY)
    return str(folder)


def test_rank_names_the_rule_that_acted(ranker_with, small_home, profile):
    ranker_with()  # a champion
    ask = ("rank", "--user", "u0000001", "--profile", profile, "--scene", "place=home")
    told = json.loads(small_home.ask(*ask, "hour_band=evening", "--json"))["items"][0]["policy"]
    assert told == [
        {"source": "search", "rule": "policy.0", "effect": "capped at 0.1",
         "reason": "evenings are for the feed"}
    ]  # fmt: skip
    words = "policy.0: search capped at 0.1 (evenings are for the feed) for #1, #2"
    assert words in small_home.ask(*ask, "hour_band=evening").replace("\n", " ")
    assert "policy.0" not in small_home.ask(*ask, "hour_band=night")


def test_evaluate_tells_what_the_policy_costs(small_home, profile):
    without = json.loads(small_home.ask("evaluate", "1", "--json"))
    told = json.loads(small_home.ask("evaluate", "1", "--profile", profile, "--json"))
    assert without["policy"] is None
    assert told["model"] == without["model"]  # gates look at scores without the policy
    cost = told["policy"]
    assert 0 < cost["governed"] == cost["rules"][0]["rows"] < cost["rows"]
    assert cost["without"]["logloss"] == without["model"]["all"]["logloss"]
    assert cost["under"]["expected"] != cost["without"]["expected"]
    assert "the policy governs" in small_home.ask("evaluate", "1", "--profile", profile)
