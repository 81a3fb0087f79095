"""A registered version as MLflow loads it: away from the profile, under the policy kept with it."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pytest

from exit_pipeline.errors import ProfileError
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.registry import Registry
from exit_pipeline.settings import load_settings
from exit_pipeline.training import save_model
from tests.unit.rows import SOURCES, make_table
from tests.unit.test_policy import fit

RULES = (
    RuleSpec(unit="c1", forbid=True, reason="nobody's business"),
    RuleSpec(source="mid", scene={"place": "home"}, cap=0.1, reason="it’s too early"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("fit"))


@pytest.fixture(scope="module")
def registered(trained, tmp_path_factory):
    """Registers the model with some rules; returns the folder that MLflow loads."""
    root = tmp_path_factory.mktemp("registry")
    registry = Registry(load_settings(home=root / "home").home_of("small"), "small")
    save_model(trained, root / "model")

    def register(*rules):
        version = registry.register({"model": root / "model"}, {}, {"model": "exit"}, rules)
        return registry.folder(version).parents[1]

    return register


def test_mlflows_copy_scores_under_the_policy_of_its_registration(trained, registered):
    rows = make_table(300, 9)
    place = registered(*RULES)
    loaded, frame = mlflow.pyfunc.load_model(str(place)), rows.to_pandas()
    free, ruled = Scorer(trained).score(rows), Scorer(trained, RULES).score(rows)
    assert (free.score != ruled.score).any()
    for found, params in ((ruled, None), (ruled, {"governed": True}), (free, {"governed": False})):
        told = loaded.predict(frame, params=params)
        assert list(told.columns) == ["score", *(f"rule_{source}" for source in SOURCES)]
        np.testing.assert_array_equal(told["score"], found.score)
        np.testing.assert_array_equal(told.iloc[:, 1:], found.rule)
    kept = json.loads((place / "artifacts" / "policy.json").read_text("utf-8"))
    assert [RuleSpec(**rule) for rule in kept] == list(RULES)


def test_without_a_policy_nothing_is_governed(trained, registered):
    rows = make_table(50, 9)
    told = mlflow.pyfunc.load_model(str(registered())).predict(rows.to_pandas())
    np.testing.assert_array_equal(told["score"], Scorer(trained).score(rows).score)
    assert (told.iloc[:, 1:] == -1).all(axis=None)


def test_a_policy_that_the_model_cannot_follow_is_refused_where_it_is_loaded(registered):
    place = registered(RuleSpec(unit="c11", forbid=True, reason="a test"))
    with pytest.raises(ProfileError, match="did you mean 'c1'"):
        mlflow.pyfunc.load_model(str(place))
