"""Thin groups that a model knows by heart lose more out of training than the others do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from exit_pipeline.model import Encoder, InputSpec, Outputs
from exit_pipeline.training.calibrate import Calibration
from exit_pipeline.training.memorized import memorized
from exit_pipeline.training.rows import EncodedRows

SPEC = InputSpec(("unit",), ("group_shown", "user_rate"), {})
ENCODER = Encoder(SPEC, {"unit": ["a"]}, {"group_shown": [0, 10, 90], "user_rate": [0, 1]}, "unit")
SURE = 4.0  # a logit


class Says(nn.Module):
    """Says the logit that stands in the second number."""

    def forward(self, batch):
        logit = batch.numeric[:, 1]
        none = logit.new_zeros(len(logit), 0)
        return Outputs(logit, logit, none, logit, none, none, logit, logit[None])


def rows(history, said, y):
    n = len(y)
    numbers = np.stack([history, said], axis=1).astype(np.float32)
    labels = np.zeros((n, 4), np.float32)
    labels[:, 0] = y
    return EncodedRows(np.zeros((n, 1), np.int32), numbers, labels, 0)


AS_IT_IS = Calibration("platt")


def gap(training, validation, calibration=AS_IT_IS):
    found = memorized(
        Says(),
        {"train": training, "validation": validation},
        ENCODER,
        calibration,
        torch.device("cpu"),
    )
    return found


def loss(logit, y):
    return np.log1p(np.exp(logit if y == 0 else -logit))


def test_what_thin_groups_lose_beyond_the_others_by_hand():
    history = [np.nan, 10, 50, 80]  # no history, and the lowest bin's end: both are thin
    known = rows(history, [SURE, -SURE, 1, 0], [1, 0, 1, 0])
    new = rows(history, [SURE, -SURE, 0, 0], [0, 1, 1, 0])
    found = gap(known, new)
    thin = loss(SURE, 0) - loss(SURE, 1)
    others = (loss(0, 1) - loss(1, 1)) / 2
    assert found.gap == pytest.approx(thin - others, rel=1e-5)
    assert found.rows == 2
    assert gap(known, known).gap == 0


def test_losses_are_of_what_is_served():
    history = [np.nan, 10, 50, 80]
    known, twice = (rows(history, [k, -k, k, -k], [1, 0, 1, 0]) for k in (1, 2))
    new, new_twice = (rows(history, [k, -k, k, -k], [0, 1, 1, 0]) for k in (1, 2))
    found = gap(known, new, Calibration("platt", slope=2.0))
    assert found.gap == pytest.approx(gap(twice, new_twice).gap)
    assert found.gap != pytest.approx(gap(known, new).gap)


def test_without_thin_groups_nothing_is_said():
    thick, mixed = rows([50, 60], [0, 0], [1, 0]), rows([3, 60], [0, 0], [1, 0])
    assert gap(thick, mixed) is None
    assert gap(mixed, rows([1, 2], [0, 0], [1, 0])) is None
