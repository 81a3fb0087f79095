"""Several processes train one model: each row once, the same steps, and on after a death."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed

from exit_pipeline.errors import SettingsError, TrainingError
from exit_pipeline.profile import load_profile
from exit_pipeline.registry.recipe import Recipe
from exit_pipeline.training import together as together_module
from exit_pipeline.training import train_model
from exit_pipeline.training.rows import EncodedRows
from exit_pipeline.training.team import Team
from exit_pipeline.training.worker import HISTORY, START, WEIGHTS, work
from tests.unit.rows import MODEL, SPEC, TRAINING, write_parts

# The id tables are large enough to change in the rows of a batch alone. Nothing is drawn, and no
# term is a mean over some rows of a batch: what is left to differ is rounding.
PLAIN = MODEL.model_copy(
    update={"source_dropout": 0.0, "id_dropout": 0.0, "value_dropout": 0.0, "dropout": 0.0}
)
TOGETHER = TRAINING.model_copy(
    update={
        "table_rows": 20, "patience": 9, "precision": "fp32", "epochs": 3, "lambda_transfer": 0.0,
    }
)  # fmt: skip


def numbered(n: int) -> EncodedRows:
    row = np.arange(n)[:, None]
    labels = np.zeros((n, 7), np.float32)
    return EncodedRows(row.astype(np.int32), row.astype(np.float32), labels, sources=1)


def order(rows: EncodedRows, size: int, buffer: int, epoch: int, team: Team) -> list[list[int]]:
    batches = rows.shuffled(size, buffer, 1, epoch, team)
    return [batch.categorical[:, 0].tolist() for batch in batches]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9000), st.integers(16, 700), st.integers(2, 4), st.integers(500, 4000),
    st.integers(0, 3),
)  # fmt: skip
def test_a_team_reads_the_batches_of_one_process_each_row_once(n, size, team, buffer, epoch):
    rows = numbered(n)
    whole = order(rows, size, buffer, epoch, Team())
    parts = [order(rows, size, buffer, epoch, Team(rank, team)) for rank in range(team)]
    assert sorted(row for batch in whole for row in batch) == list(range(n))
    for number, batch in enumerate(whole):
        weights = [Team(rank, team).weight(len(batch)) for rank in range(team)]
        mine = [p[number] for p, weight in zip(parts, weights, strict=True) if weight]
        assert [row for rows in mine for row in rows] == batch
        assert sum(weights) == pytest.approx(team)
        assert min(map(len, (part[number] for part in parts))) > 0
    scored = [range(n)[Team(rank, team).part(n)] for rank in range(team)]
    assert [row for part in scored for row in part] == list(range(n))


def test_gradients_of_tables_are_the_mean_of_what_every_process_has(monkeypatch):
    """Tables of other widths: rows that both touched, a table that one did, one that none did."""
    touched = [[[3, 0, 3], [], []], [[8, 3], [4, 4], []]]  # by process and table
    shapes, said, met = [(9, 2), (5, 3), (7, 1)], {}, Barrier(2)

    def tell(team: Team, values: torch.Tensor) -> torch.Tensor:
        said[team.rank] = values
        met.wait(10)
        heard = torch.stack([said[0], said[1]])
        met.wait(10)
        return heard

    def table(shape: tuple[int, int], rows: list[int]) -> torch.Tensor:
        made = torch.zeros(shape)
        if rows:
            values = torch.randn(len(rows), shape[1])
            made.grad = torch.sparse_coo_tensor(
                torch.tensor([rows]), values, shape, check_invariants=True
            )
        return made

    monkeypatch.setattr(Team, "_all", tell)
    tables = [[table(*one) for one in zip(shapes, rows, strict=True)] for rows in touched]
    dense = [[t.grad.to_dense() if t.grad is not None else 0 for t in own] for own in tables]
    with ThreadPoolExecutor(2) as threads:
        teams = [Team(rank, 2) for rank in range(2)]
        deque(threads.map(lambda team, own: team.average([], own), teams, tables))
    for own in tables:
        assert own[2].grad is None
        for i in range(2):
            torch.testing.assert_close(own[i].grad.to_dense(), (dense[0][i] + dense[1][i]) / 2)


def train(folder: Path, parts, training=TOGETHER, **more):
    return train_model("exit", SPEC, parts, "unit", PLAIN, training, scratch=folder, **more)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("rows"), 1500)


@pytest.fixture(scope="module")
def together(tmp_path_factory, parts):
    return train(tmp_path_factory.mktemp("together"), parts, workers=2)


def test_two_processes_learn_what_one_does(tmp_path, parts, together):
    alone = train(tmp_path, parts)
    for mine, theirs in zip(together.history, alone.history, strict=True):
        for figure in ("train_loss", "validation_logloss", "transfer"):
            assert mine[figure] == pytest.approx(theirs[figure], abs=1e-4)
    for name, tensor in alone.module.state_dict().items():
        torch.testing.assert_close(together.module.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)
    assert together.weights() != alone.weights()


@pytest.mark.slow
def test_a_process_that_is_killed_costs_no_more_than_its_epoch(tmp_path, parts, together):
    told: list[str] = []

    def progress(done, total, text):
        told.append(text.split(",")[0])
        if told.count("epoch 2") == 1 and told[-1] == "epoch 2":
            os.kill(_workers(tmp_path)[-1], signal.SIGKILL)

    again = train(tmp_path, parts, workers=2, checkpoints=tmp_path / "kept", progress=progress)
    assert told.index("epoch 2") < len(told) - 1
    assert again.weights() == together.weights()
    # One process goes on from where two were, and the history says who trained what.
    alone = train(tmp_path, parts, checkpoints=tmp_path / "kept")
    assert alone.history == together.history
    assert [epoch["workers"] for epoch in alone.history] == [2, 2, 2]


def _workers(folder: Path) -> list[int]:
    """Processes that `torchrun` started for a job under a folder."""
    lines = {int(p.name): _line(p) for p in Path("/proc").glob("[0-9]*")}
    return [pid for pid, line in sorted(lines.items())
            if str(folder).encode() in line and b"torch.distributed" not in line]  # fmt: skip


def _line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def test_a_model_that_was_trained_together_is_where_its_rows_will_be_sent(
    tmp_path, parts, monkeypatch
):
    seen = []

    def run(folder: Path, *_) -> int:
        shutil.copy(folder / START, folder / WEIGHTS)
        (folder / HISTORY).write_text("[]")
        return 0

    def predict(model, rows, device):
        seen.append(({values.device for values in model.state_dict().values()}, device))
        raise TrainingError("seen enough")

    # A device that no machine lacks, and where no tensor of a CPU can be scored.
    monkeypatch.setattr("exit_pipeline.training.train.choose_device", torch.device)
    monkeypatch.setattr("exit_pipeline.training.train.check_workers", lambda *_: None)
    monkeypatch.setattr("exit_pipeline.training.together._run", run)
    monkeypatch.setattr("exit_pipeline.training.train.predict", predict)
    with pytest.raises(TrainingError, match="seen enough"):
        train(tmp_path, parts, workers=2, device="meta")
    assert seen == [({torch.device("meta")}, torch.device("meta"))]


def test_what_a_library_prints_is_kept_in_the_log_and_stops_nothing(tmp_path, monkeypatch):
    prints = "print('NCCL INFO hello'); print('progress [1, 2, \"epoch 1\"]')"
    told, starts = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda _, **more: starts([sys.executable, "-c", prints], **more)
    )
    assert together_module._run(tmp_path, 2, 1, lambda *line: told.append(line)) == 0
    assert told == [(1, 2, "epoch 1")]
    assert (tmp_path / together_module.LOG).read_text() == "NCCL INFO hello\n"


def test_what_goes_wrong_in_a_process_is_said_once(tmp_path, parts, monkeypatch):
    begun = []

    def run(folder: Path, *_) -> int:
        """A process alone, and another that is started after it."""
        for name, value in (("RANK", 0), ("WORLD_SIZE", 1), ("MASTER_PORT", 0)):
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        with pytest.raises(TrainingError):
            work(folder)
        distributed.destroy_process_group()
        begun.append(work(folder))
        return 1

    monkeypatch.setattr("exit_pipeline.training.together._run", run)
    wild = TOGETHER.model_copy(update={"learning_rate": 300.0})
    with pytest.raises(TrainingError, match=r"rose past (.|\n)*epoch 1, step 2") as error:
        train(tmp_path, parts, wild, workers=2)
    assert "learning_rate" in error.value.mend
    assert begun
    assert not distributed.is_initialized()


@pytest.mark.parametrize(
    ("workers", "device", "message"),
    [(300, "cpu", "a batch of 256 rows has none"), (3, "cuda", "3 processes cannot train on")],
)
def test_processes_that_could_not_work_are_refused_before_any_starts(
    tmp_path, parts, monkeypatch, workers, device, message
):
    monkeypatch.setattr("exit_pipeline.training.train.choose_device", torch.device)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(SettingsError, match=message):
        train(tmp_path, parts, workers=workers, device=device)


def test_a_model_with_statistics_of_rows_is_refused(tmp_path, parts):
    with pytest.raises(SettingsError, match="STAR keeps statistics") as error:
        train_model("star", SPEC, parts, "unit", PLAIN, TOGETHER, scratch=tmp_path, workers=2)
    assert error.value.mend == "set it to 1"


def test_how_many_trained_a_version_is_recorded():
    told = Recipe.of(load_profile("simulated").spec, 2, "cpu", workers=2).to_dict()
    assert Recipe.read(told, "cpu").workers == 2
