"""Sparse updates by hand, bounded reading, and an interrupted training that goes on."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from exit_pipeline.bench.training import TOWERS
from exit_pipeline.bench.training_data import towers_encoder, write
from exit_pipeline.bench.training_floor import weights
from exit_pipeline.errors import TrainingError
from exit_pipeline.model import MODELS, Batch
from exit_pipeline.training import train_model
from exit_pipeline.training.device import ahead
from exit_pipeline.training.rows import EncodedRows
from exit_pipeline.training.sparse import RowwiseAdagrad, densify, unique_rows
from exit_pipeline.training.step import Stepper
from tests.unit.rows import MODEL, SPEC, TRAINING, write_parts
from tests.unit.test_backbone import batch, made

CPU = torch.device("cpu")
SPARSE = TRAINING.model_copy(update={"table_rows": 20, "patience": 9})


def table_of(rows, dim=2):
    table = nn.Embedding(rows, dim, sparse=True)
    nn.init.zeros_(table.weight)
    return table


def test_gradients_of_the_same_row_are_summed():
    table = table_of(6)
    (table(torch.tensor([4, 1, 4])) * torch.tensor([[1.0], [10.0], [100.0]])).sum().backward()
    rows, sums = unique_rows(table.weight.grad)
    assert rows.tolist() == [1, 4]
    assert sums.tolist() == [[10.0, 10.0], [101.0, 101.0]]
    densify(table.weight)
    assert table.weight.grad.tolist() == [[0, 0], [10, 10], [0, 0], [0, 0], [101, 101], [0, 0]]


def test_rowwise_adagrad_by_hand():
    table = table_of(3)
    optimizer = RowwiseAdagrad([table.weight], lr=0.5)
    for row, gradient in ((1, [3.0, 1.0]), (1, [2.0, 0.0]), (2, [0.0, 0.0])):
        optimizer.zero_grad()
        (table(torch.tensor([row])) * torch.tensor(gradient)).sum().backward()
        optimizer.step()
    first, second = 5**0.5, 7**0.5  # v: mean(9, 1), and mean(4, 0) more
    expected = [[0, 0], [-0.5 * (3 / first + 2 / second), -0.5 / first], [0, 0]]
    torch.testing.assert_close(table.weight.detach(), torch.tensor(expected))


def train(folder: Path, parts, training=SPARSE, name="exit", **more):
    return train_model(name, SPEC, parts, "unit", MODEL, training, scratch=folder, **more)


@pytest.mark.parametrize("table_rows", [2, 4])
def test_a_step_changes_a_large_table_in_the_rows_of_the_batch_alone(table_rows):
    spec = SPARSE.model_copy(update={"table_rows": table_rows, "weight_decay": 0.5})
    model, rows = made("exit", id_dropout=0.0), batch(n=6)
    rows.categorical[:, 0] = torch.tensor([1, 2, 1, 2, 1, 1])
    table = model.rows.categorical.tables[0].weight  # of four rows
    before = table.detach().clone()
    Stepper(model.train(), MODEL, spec, CPU)(rows)
    changed = (table != before).any(1).tolist()
    # Weight decay reaches every row of a table that AdamW updates.
    assert changed == ([False, True, True, False] if table_rows == 2 else [True] * 4)


class Killed(Exception):
    """Stands for the end of a process."""


def killed_after(epochs: int):
    def progress(done, total, text):
        if re.match(rf"epoch {epochs + 1}, loss", text):
            raise Killed

    return progress


@pytest.mark.parametrize("name", ["exit", "towers"])
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path, name):
    parts, kept = write_parts(tmp_path, 600), tmp_path / "kept"
    whole = train(tmp_path, parts, name=name)
    for epochs in (1, 3):
        with pytest.raises(Killed):
            train(tmp_path, parts, name=name, checkpoints=kept, progress=killed_after(epochs))
    told = []
    resumed = train(
        tmp_path, parts, name=name, checkpoints=kept, progress=lambda *a: told.append(a[2])
    )
    assert {text[:7] for text in told} == {"epoch 4"}
    assert resumed.weights() == whole.weights()
    assert (resumed.history, resumed.calibration) == (whole.history, whole.calibration)


def test_a_checkpoint_of_other_settings_or_half_written_is_not_taken_up(tmp_path):
    parts, kept = write_parts(tmp_path, 600), tmp_path / "kept"
    train(tmp_path, parts, checkpoints=kept)
    other = SPARSE.model_copy(update={"learning_rate": 0.005})
    plain = train(tmp_path, parts, other)
    assert train(tmp_path, parts, other, checkpoints=kept).weights() == plain.weights()
    file = kept / "exit.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert train(tmp_path, parts, other, checkpoints=kept).weights() == plain.weights()


@pytest.mark.parametrize("rate", [3.0, 300.0])
def test_a_rate_too_high_stops_within_the_first_epoch(tmp_path, rate):
    parts, kept = write_parts(tmp_path, 600), tmp_path / "kept"
    wild = SPARSE.model_copy(update={"learning_rate": rate})
    with pytest.raises(TrainingError, match=r"rose past (.|\n)*epoch 1, step \d+"):
        train(tmp_path, parts, wild, checkpoints=kept)
    assert not kept.exists()  # nothing of it is good


def test_one_batch_that_is_far_off_is_no_divergence(tmp_path, monkeypatch):
    class Odd(Stepper):
        """Tells of a loss a hundred times as high at the seventh step, as where outcomes are rare."""

        taken = 0

        def __call__(self, batch, rate=1.0, weight=1.0):
            self.taken += 1
            return super().__call__(batch, rate, weight) * (100 if self.taken == 7 else 1)

    monkeypatch.setattr("exit_pipeline.training.loop.Stepper", Odd)
    told = train(tmp_path, write_parts(tmp_path, 600))
    losses = [epoch["train_loss"] for epoch in told.history]
    assert max(losses) > 2 * min(losses)


def test_a_divergent_training_names_the_step_and_keeps_the_last_good_epoch(tmp_path, monkeypatch):
    class Wild(Stepper):
        """Tells of a loss a thousand times as high once the rate has fallen below a half."""

        def __call__(self, batch, rate=1.0, weight=1.0):
            return super().__call__(batch, rate, weight) * (1 if rate >= 0.5 else 1000)

    monkeypatch.setattr("exit_pipeline.training.loop.Stepper", Wild)
    parts, kept = write_parts(tmp_path, 600), tmp_path / "kept"
    with pytest.raises(TrainingError, match=r"rose past (.|\n)*epoch 3, step 2"):
        train(tmp_path, parts, checkpoints=kept)
    with safe_open(kept / "exit.safetensors", "pt") as file:
        (told,) = file.metadata().values()
    assert [epoch["number"] for epoch in json.loads(told)["epochs"]] == [0, 1]


def mapped(folder: Path, rows: int) -> EncodedRows:
    arrays = []
    for name, kind in (("categorical", np.int32), ("numeric", np.float32), ("labels", np.float32)):
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (rows, 64))
        array[:] = np.arange(rows)[:, None]
        array.flush()
        arrays.append(array)
    return EncodedRows(*arrays, sources=20)


def resident(file: str) -> int:
    """KB of a file's pages that this process holds."""
    told = Path("/proc/self/smaps").read_text().split(file)
    return sum(int(re.search(r"Rss:\s+(\d+)", part).group(1)) for part in told[1:])


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc")
@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="needs madvise")
def test_reading_holds_a_block_and_not_the_file(tmp_path):
    rows = mapped(tmp_path, 100_000)  # 25 MB each
    most, seen = 0, []
    for part in rows.shuffled(2000, 8000, seed=1, epoch=0):
        seen.append(part.categorical[:, 0])
        most = max(most, resident("categorical.npy"))
    assert torch.cat(seen).sort()[0].equal(torch.arange(100_000))
    assert most < 4 * 8000 * 64 * 4 / 1024


def test_the_floor_of_the_bench_counts_the_products_of_the_model_that_it_trains():
    encoder = towers_encoder()
    assert sum(encoder.sizes()) == 1_000_000
    layers = [m for m in MODELS["towers"](encoder, TOWERS).modules() if isinstance(m, nn.Linear)]
    assert sum(m.weight.numel() for m in layers if m.out_features > 2) == weights()
    assert round(6 * weights() / 1000) == 344  # kFLOP a row, forward and backward


def test_planted_rows_are_the_same_each_time_and_others_in_each_part(tmp_path):
    (tmp_path / "again").mkdir()
    encoder = towers_encoder(2)
    one = write(tmp_path, "train", 500, encoder)
    again = write(tmp_path / "again", "train", 500, encoder)
    other = write(tmp_path, "validation", 500, encoder)
    assert np.array_equal(one.categorical, again.categorical)
    assert np.array_equal(one.labels, again.labels)
    assert not np.array_equal(one.categorical, other.categorical)
    assert one.labels.shape == (500, 4 + 3 * 2)
    assert 0.1 < one.labels[:, 0].mean() < 0.9


def test_batches_come_in_their_order_whatever_the_device():
    made = [
        Batch(torch.full((1, 1), i), torch.zeros(1, 1), torch.zeros(1, 1), {}) for i in range(5)
    ]
    assert [int(b.categorical) for b in ahead(iter(made), CPU)] == [0, 1, 2, 3, 4]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_the_same_loop_trains(tmp_path):
    parts = write_parts(tmp_path, 2000)
    there, here = (
        train(tmp_path, parts, device=device).history[-1]["validation_logloss"]
        for device in ("cuda", "cpu")
    )
    assert there == pytest.approx(here, abs=0.03)
