"""The training loop: early stopping on validation logloss, with the best weights put back."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exit_pipeline.errors import TrainingError
from exit_pipeline.model.base import Model
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training.calibrate import calibrate
from exit_pipeline.training.checkpoint import Checkpoint
from exit_pipeline.training.device import ahead
from exit_pipeline.training.history import Epoch, alarm, best, farthest, ratio, settled
from exit_pipeline.training.rows import EncodedRows
from exit_pipeline.training.step import Stepper
from exit_pipeline.training.team import ALONE, Team

Progress = Callable[[int, int, str], None]
SCORE_ROWS = 8192
TOLD_STEPS = 20  # progress is told of one step in so many
# Steps over which a loss is held against its bound: a single one is far off by chance where
# outcomes are rare, or where the last batch has a few rows.
WINDOW = 50


def fit(
    model: Model,
    train: EncodedRows,
    validation: EncodedRows,
    model_spec: ModelSpec,
    spec: TrainingSpec,
    device: torch.device,
    progress: Progress = lambda done, total, text: None,
    checkpoint: Checkpoint | None = None,
    team: Team = ALONE,
) -> list[Epoch]:
    """Trains for `epochs`, or until validation logloss has not improved for `patience` of them.

    Learning rates fall linearly to 0 at the last of `epochs`: without that, the logloss of epochs
    differs by more than models do, and the best one is partly luck. A patience that ends training
    before brings that luck back.

    Args:
        model: Has surveyed its rows. Changed in place; ends with the weights of its best epoch.
        train: Rows to learn from.
        validation: Rows to stop by.
        model_spec: Decides the loss.
        spec: The loop's settings.
        device: Where to train; on CUDA with automatic mixed precision.
        progress: Called with batches done, batches in all, and a line of text.
        checkpoint: Where the state is kept after each epoch, and taken up if there is one.
        team: Who trains with this process, each calling this with the same rows.

    Returns:
        The history, an entry per epoch.

    Raises:
        TrainingError: The loss is not finite or rises past its bound; names the step.
    """
    model.to(device)
    stepper = Stepper(model, model_spec, spec, device, team)
    resumed = checkpoint.load(stepper) if checkpoint else None
    epochs, weights = resumed or ([], copy.deepcopy(model.state_dict()))
    history = [Epoch.from_dict(values) for values in epochs]
    for number in range(len(history), spec.epochs):
        if settled(history, spec.patience):
            break
        loss, balance = _epoch(stepper, train, history, progress)
        logloss, transfer = validate(model, validation, model_spec, device, team)
        said = alarm(transfer)
        history.append(Epoch(number, loss, logloss, transfer, bool(said), balance, team.size))
        steps = -(-len(train) // spec.batch_size)
        text = f"epoch {number + 1}, validation logloss {logloss:.4f}{said}"
        progress((number + 1) * steps, spec.epochs * steps, text)
        if best(history) is history[-1]:
            weights = copy.deepcopy(model.state_dict())
        if checkpoint and team.rank == 0:
            checkpoint.save(stepper, weights, [epoch.to_dict() for epoch in history])
    model.load_state_dict(weights)
    model.eval()
    return history


def _epoch(
    stepper: Stepper, rows: EncodedRows, history: Sequence[Epoch], progress: Progress
) -> tuple[float, dict[str, float]]:
    """Takes the steps of the next epoch; returns its mean loss, and the balance before it.

    What is held against the bound is a running mean, each batch by its rows, that begins with the
    usual loss: the first epoch's mean; in that epoch, what it was before any step.
    """
    spec, team, number, total = stepper.spec, stepper.team, len(history), 0.0
    steps = -(-len(rows) // spec.batch_size)
    team.seed(spec.seed, number)
    usual = history[0].train_loss if history else None
    said, lately = alarm(history[-1].transfer) if history else "", usual
    stepper.model.train()
    batches = rows.shuffled(spec.batch_size, spec.shuffle_buffer, spec.seed, number, team)
    for step, batch in enumerate(ahead(batches, stepper.device)):
        if step == 0:
            balance = stepper.balance(batch)
        at = number * steps + step
        size = min(spec.batch_size, len(rows) - step * spec.batch_size)
        weight = team.weight(size)
        loss = stepper(batch, 1 - at / (spec.epochs * steps), weight)
        if usual is None or lately is None:
            usual = lately = loss
        if weight:  # a row that counts for nothing is no sign
            lately += weight * size / spec.batch_size * (loss - lately) / WINDOW
            _check(lately, usual * spec.max_loss_rise, number, step)
        total += weight * loss
        if step % TOLD_STEPS == 0:
            progress(at, spec.epochs * steps, f"epoch {number + 1}, loss {loss:.4f}{said}")
    return team.mean(total / steps), balance


def _check(loss: float, bound: float, epoch: int, step: int) -> None:
    if not math.isfinite(loss) or loss > bound:
        what = "is not finite" if not math.isfinite(loss) else f"rose past {bound:.3f}"
        raise TrainingError(
            f"the loss {what} ({loss:.4g})",
            where=f"epoch {epoch + 1}, step {step + 1}",
            mend="lower training.learning_rate, or look for extreme values in the features",
        )


@torch.inference_mode()
def predict(
    model: nn.Module, rows: EncodedRows, device: torch.device, team: Team = ALONE
) -> dict[str, Tensor]:
    """Runs the model over rows; returns `logit` [n], `transfer` [n, K], and the labels, on CPU."""
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    for batch in rows.part(team.part(len(rows))).batches(SCORE_ROWS):
        out = model(batch.to(device))
        for name, value in (("logit", out.logit), ("transfer", out.transfer)):
            parts.setdefault(name, []).append(value.float().cpu())
        for name, value in batch.labels.items():
            parts.setdefault(name, []).append(value)
    return team.joined({name: torch.cat(values) for name, values in parts.items()})


def validate(
    model: nn.Module, rows: EncodedRows, spec: ModelSpec, device: torch.device, team: Team = ALONE
) -> tuple[float, float]:
    """Returns validation logloss, and of which source p_tr is farthest from a: its `ratio`.

    The ratio is of rows with y_s = 1, nan without such. One source must not hide another's
    collapse.
    P_whole of `sum` is no probability: its logloss is taken after Platt's map, fitted on the same
    rows, whose two numbers have nothing to learn by heart.
    """
    found = predict(model, rows, device, team)
    logit, y = found["logit"].double(), found["y"].double()
    if spec.combination == "sum":
        logit = torch.from_numpy(calibrate(logit.numpy(), y.numpy(), "platt")(logit.numpy()))
    logloss = float(F.binary_cross_entropy_with_logits(logit, y))
    p_transfer, a, shown = found["transfer"].sigmoid(), found["consistent"], found["shown"] > 0
    return logloss, farthest(
        ratio(float(p_transfer[shown[:, k], k].mean()), float(a[shown[:, k], k].mean()))
        for k in range(p_transfer.shape[1])  # none where a model has no transfer
        if shown[:, k].any()
    )
