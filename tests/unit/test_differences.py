"""What a version is trained by, read back; what differs between two makings of a model."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save

from exit_pipeline.errors import RegistryError
from exit_pipeline.profile import load_profile
from exit_pipeline.registry.differences import Difference, tensors, values
from exit_pipeline.registry.recipe import Recipe


def shown(differences):
    return [(d.what, d.name, d.recorded, d.now, d.largest) for d in differences]


def test_values_that_differ_are_named_by_their_path():
    old = {"slope": 1.0, "knots": [1.0, 2.0], "epochs": [{"loss": 0.5}, {"loss": None}], "n": 3}
    new = {"slope": 1.0, "knots": [1.0, 2.25], "epochs": [{"loss": 0.5}, {"loss": 0.25}], "m": 3}
    assert shown(values("history", "model", old, new)) == [
        ("history", "model.knots", [1.0, 2.0], [1.0, 2.25], 0.25),
        ("history", "model.epochs.1.loss", None, 0.25, None),
        ("history", "model.n", 3, None, None),
        ("history", "model.m", None, 3, None),
    ]
    assert shown(values("packages", "", {"torch": "1"}, {"torch": "2"})) == [
        ("packages", "torch", "1", "2", None)
    ]
    (words,) = values("encoder", "model", {"city": ["a"] * 9}, {"city": ["b"] * 9})
    assert (words.recorded, words.largest) == ("9 values", None)


def test_tensors_that_differ_are_named_with_their_largest_difference():
    old = save({"a": torch.tensor([1.0, 2.0]), "b": torch.zeros(2), "c": torch.zeros(1)})
    new = save({"a": torch.tensor([1.0, 2.5]), "b": torch.zeros(3), "c": torch.zeros(1)})
    assert shown(tensors("model", old, new)) == [
        ("weights", "model.a", [2], [2], 0.5),
        ("weights", "model.b", [2], [3], None),
    ]
    assert shown(tensors("model", old, old)) == []
    (broken,) = tensors("model", b"no weights", new)
    assert broken.what == "registered file"


@pytest.mark.parametrize(("what", "largest", "tolerated"), [
    ("metrics", 0.004, True),
    ("metrics", 0.01, False),
    ("metrics", None, False),
    ("slices", None, True),  # of one class before, of two now
    ("encoder", 0.0, False),  # rows make it, and no rounding
    ("registered file", None, False),
])  # fmt: skip
def test_what_rounding_may_explain(what, largest, tolerated):
    assert Difference(what, "x", 1, 2, largest).tolerated == tolerated


@pytest.mark.parametrize("name", ["simulated", "complete_journey"])
def test_a_recipe_comes_back_from_its_lineage(name):
    profile = load_profile(name)
    recipe = Recipe.of(profile.spec, 3, "cpu")
    lineage = json.loads(json.dumps(recipe.to_dict()))
    assert Recipe.read(lineage, "cpu") == recipe


def test_a_recipe_is_what_was_recorded_and_not_a_default_of_today(simulated):
    lineage = Recipe.of(simulated.spec, 1, "cpu").to_dict()
    lineage["recipe"]["training"]["epochs"] = 41
    assert Recipe.read(lineage, "cpu").training.epochs == 41
    lineage["recipe"]["training"]["momentum"] = 0.9
    with pytest.raises(RegistryError, match=r"does not know the recorded settings: momentum"):
        Recipe.read({**lineage, "code": "0.0.1+abc"}, "cpu")
