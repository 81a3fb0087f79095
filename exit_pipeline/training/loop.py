"""The training loop: early stopping on validation logloss, with the best weights put back."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exit_pipeline.errors import TrainingError
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.losses import loss_of
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training.rows import EncodedRows

Progress = Callable[[int, int, str], None]
SCORE_ROWS = 8192


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; transfer is mean p_tr ÷ mean a where y_s = 1 (nan without such)."""

    number: int
    train_loss: float
    validation_logloss: float
    transfer: float

    def to_dict(self) -> dict[str, float | None]:
        """JSON-able values; what is not a number is None."""
        return {k: v if math.isfinite(v) else None for k, v in asdict(self).items()}


def fit(
    model: nn.Module,
    train: EncodedRows,
    validation: EncodedRows,
    model_spec: ModelSpec,
    spec: TrainingSpec,
    device: torch.device,
    progress: Progress = lambda done, total, text: None,
) -> list[Epoch]:
    """Trains until validation logloss has not improved for `patience` epochs.

    Args:
        model: Changed in place; ends with the weights of its best epoch.
        train: Rows to learn from.
        validation: Rows to stop by.
        model_spec: Decides the loss.
        spec: The loop's settings.
        device: Where to train; on CUDA with automatic mixed precision.
        progress: Called with batches done, batches in all, and a line of text.

    Returns:
        The history, an entry per epoch.

    Raises:
        TrainingError: The loss is not finite or rises past its bound; names the step.
    """
    model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    steps = -(-len(train) // spec.batch_size)
    history: list[Epoch] = []
    best, weights = math.inf, copy.deepcopy(model.state_dict())
    for number in range(spec.epochs):
        model.train()
        total = 0.0
        bound = history[0].train_loss * spec.max_loss_rise if history else math.inf
        batches = train.shuffled(spec.batch_size, spec.shuffle_buffer, spec.seed, number)
        for step, batch in enumerate(batches):
            loss = _step(model, batch, optimizer, scaler, model_spec, spec, device)
            _check(loss, bound, number, step)
            total += loss
            if step % 20 == 0:
                at = number * steps + step
                progress(at, spec.epochs * steps, f"epoch {number + 1}, loss {loss:.4f}")
        logloss, transfer = validate(model, validation, device)
        history.append(Epoch(number, total / steps, logloss, transfer))
        if logloss < best:
            best, weights = logloss, copy.deepcopy(model.state_dict())
        elif number - min(history, key=lambda e: e.validation_logloss).number >= spec.patience:
            break
    model.load_state_dict(weights)
    model.eval()
    return history


def _step(
    model: nn.Module,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    model_spec: ModelSpec,
    spec: TrainingSpec,
    device: torch.device,
) -> float:
    on_gpu = device.type == "cuda"
    batch = (batch.pin() if on_gpu else batch).to(device)
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device.type, enabled=on_gpu):
        loss = loss_of(_floats(model(batch)), batch, model_spec, spec)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    return float(loss.detach())


def _floats(out: Outputs) -> Outputs:
    """Losses are taken in 32 bits, also under mixed precision."""
    values = {name: value.float() for name, value in vars(out).items() if value is not None}
    return Outputs(**values)


def _check(loss: float, bound: float, epoch: int, step: int) -> None:
    if not math.isfinite(loss) or loss > bound:
        what = "is not finite" if not math.isfinite(loss) else f"rose past {bound:.3f}"
        raise TrainingError(
            f"the loss {what} ({loss:.4g})",
            where=f"epoch {epoch + 1}, step {step + 1}",
            mend="lower training.learning_rate, or look for extreme values in the features",
        )


@torch.inference_mode()
def predict(model: nn.Module, rows: EncodedRows, device: torch.device) -> dict[str, Tensor]:
    """Runs the model over rows; returns `logit` [n], `transfer` [n, K], and the labels, on CPU."""
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    for batch in rows.batches(SCORE_ROWS):
        out = model(batch.to(device))
        for name, value in (("logit", out.logit), ("transfer", out.transfer)):
            parts.setdefault(name, []).append(value.float().cpu())
        for name, value in batch.labels.items():
            parts.setdefault(name, []).append(value)
    return {name: torch.cat(values) for name, values in parts.items()}


def validate(model: nn.Module, rows: EncodedRows, device: torch.device) -> tuple[float, float]:
    """Returns validation logloss and mean p_tr ÷ mean a where y_s = 1."""
    found = predict(model, rows, device)
    logloss = float(
        F.binary_cross_entropy_with_logits(found["logit"].double(), found["y"].double())
    )
    if not found["transfer"].shape[1]:
        return logloss, math.nan
    shown = found["shown"] > 0
    consistent = float(found["consistent"][shown].mean()) if bool(shown.any()) else 0.0
    transfer = float(found["transfer"].sigmoid()[shown].mean()) if bool(shown.any()) else 0.0
    return logloss, transfer / consistent if consistent else math.nan
