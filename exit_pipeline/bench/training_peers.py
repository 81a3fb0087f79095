"""Peers of training: multi-task networks of the reference's size, by their own trainers.

Their time holds an epoch's training on rows in memory, and no validation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exit_pipeline.bench.measure import watched
from exit_pipeline.bench.training_data import NAMES, SIZES, read
from exit_pipeline.training.rows import label_places

DIM, BATCH = 16, 4096
# Two experts of the towers' layers, and a head per task of the SSN's size: the same products.
EXPERT, HEAD = (128, 64), (64,)


def rechub(folder: str, rows: int, epochs: int) -> dict[str, Any]:
    """torch-rechub's MMoE (Adam at 0.001), by `MTLTrainer.fit`'s own epochs."""
    from torch_rechub.basic.features import SparseFeature
    from torch_rechub.models.multi_task import MMOE
    from torch_rechub.trainers import MTLTrainer
    from torch_rechub.utils.data import DataGenerator

    _one_thread()
    x, y = _columns(folder, "train", rows)
    features = [
        SparseFeature(name, vocab_size=size, embed_dim=DIM)
        for name, size in zip(NAMES, SIZES, strict=True)
    ]
    expert, head = {"dims": list(EXPERT)}, {"dims": list(HEAD)}
    model = MMOE(features, ["classification"] * 2, 2, expert, [head, head])
    trainer = MTLTrainer(
        model, ["classification"] * 2, optimizer_params={"lr": 0.001}, model_path=folder
    )
    loader, _, _ = DataGenerator(x, y).generate_dataloader(
        x_val=x, y_val=y, x_test=x, y_test=y, batch_size=BATCH
    )
    found = trained(
        lambda: trainer.train_one_epoch(loader),
        lambda: _logloss(model, folder, as_columns=True),
        epochs,
    )
    return {**found, "rows": rows}


def deepctr(folder: str, rows: int, epochs: int) -> dict[str, Any]:
    """deepctr-torch's MMoE (Adam at 0.001), by its own `fit`."""
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import MMOE

    _one_thread()
    x, y = _columns(folder, "train", rows)
    features = [
        SparseFeat(name, size, embedding_dim=DIM) for name, size in zip(NAMES, SIZES, strict=True)
    ]
    model = MMOE(
        features, num_experts=2, expert_dnn_hidden_units=EXPERT, gate_dnn_hidden_units=(),
        tower_dnn_hidden_units=HEAD, task_names=("outcome", "source"),
    )  # fmt: skip
    model.compile(torch.optim.Adam(model.parameters(), lr=0.001), ["binary_crossentropy"] * 2)
    y = y.astype(np.float32)
    found = trained(
        lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0),
        lambda: _logloss(model, folder, as_columns=False),
        epochs,
    )
    return {**found, "rows": rows}


def trained(
    train: Callable[[], Any], logloss: Callable[[], float], epochs: int
) -> dict[str, float]:
    """Trains so many epochs; what was measured is the first, without the validation after it."""
    with watched() as found:
        train()
    losses = [logloss()]
    for _ in range(epochs - 1):
        train()
        losses.append(logloss())
    return {**found, "logloss": min(losses)}


def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(7)


def _columns(
    folder: str, part: str, rows: int | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows in memory, as the peers want them: a column each, and the two tasks' labels."""
    found = read(Path(folder), part, 1, rows)
    columns = {name: np.array(found.categorical[:, i]) for i, name in enumerate(NAMES)}
    places = label_places(1)
    return columns, np.column_stack([found.labels[:, places[task]] for task in ("y", "source")])


@torch.no_grad()
def _logloss(model: torch.nn.Module, folder: str, *, as_columns: bool) -> float:
    """On the validation rows, batch by batch: the peers' own evaluation gives AUC."""
    columns, y = _columns(folder, "validation")
    model.eval()
    total = 0.0
    for start in range(0, len(y), BATCH):
        here = {name: torch.from_numpy(c[start : start + BATCH]) for name, c in columns.items()}
        x = here if as_columns else torch.stack([*here.values()], dim=1).float()
        p = model(x)[:, 0].double().clamp(1e-7, 1 - 1e-7)
        label = torch.from_numpy(y[start : start + BATCH, 0]).double()
        total += float(torch.nn.functional.binary_cross_entropy(p, label, reduction="sum"))
    return total / len(y)
