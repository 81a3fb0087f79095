"""A `train` that was cut off goes on, and registers what an uninterrupted one does."""

from __future__ import annotations

import os
import shutil

import pytest

from exit_pipeline.lake import Lake
from exit_pipeline.registry import Registry
from exit_pipeline.registry.life import train
from exit_pipeline.settings import load_settings


class CutOff(Exception):
    """Stands for the end of a process."""


def test_a_training_that_was_cut_off_registers_the_same_models(small_home, simulated, tmp_path):
    shutil.copytree(small_home.root, tmp_path / "home")
    settings = load_settings(home=tmp_path / "home", threads=1)
    lake = Lake(settings.home_of("simulated"))
    checkpoints = lake.home.spill / "training"
    told: list[str] = []

    def cut_off(done, total, text):
        told.append(text)
        if text.startswith("epoch 2, loss") and sum("epoch 1, val" in t for t in told) == 2:
            raise CutOff  # in the second epoch of the baseline, which comes after the model

    with pytest.raises(CutOff):
        train(settings, lake, simulated, cut_off)
    assert [len(list(one.iterdir())) for one in checkpoints.iterdir()] == [2]
    others, given_up = checkpoints / "others", checkpoints / "given-up"
    for folder in (others, given_up):
        folder.mkdir()
    os.utime(given_up, (0, 0))
    told.clear()
    made = train(settings, lake, simulated, lambda done, total, text: told.append(text))
    assert not any(text.startswith("epoch 1") for text in told)
    assert list(checkpoints.iterdir()) == [others]  # which may still go on
    recorded = Registry(small_home.lake.home, "simulated").get(1).lineage
    assert made.lineage["sha256"] == recorded["sha256"]
