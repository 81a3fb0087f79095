"""Losses, each with its formula; means over the rows that a term concerns."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec


def carry_loss(out: Outputs, batch: Batch, training: TrainingSpec) -> Tensor:
    """BCE(P, y) + λ₂ Σ_k BCE(p_s,k, y_s,k) + λ₃ Σ_k mean over y_s,k = 1 of BCE(p_tr,k, a_k) (ours).

    Args:
        out: Of n rows.
        batch: With labels `y`, `source`, `shown`, `consistent`, `order`.
        training: The weights λ.

    Returns:
        A scalar.
    """
    labels = batch.labels
    loss = F.binary_cross_entropy_with_logits(out.logit, labels["y"])
    loss = loss + training.lambda_order * order_loss(out, batch)
    if out.source.shape[1]:
        loss = loss + training.lambda_source * source_loss(out, batch)
        loss = loss + training.lambda_transfer * transfer_loss(out, batch)
    return loss


def sum_loss(out: Outputs, batch: Batch, training: TrainingSpec, kind: str) -> Tensor:
    """λ₁ CE(p_t, y) + λ₂ CE(p_s, y_s) + λ₃ d(P_whole, ICL), d by `kind` (the paper's is L1).

    The L1 term is a median: p_tr collapses where fewer than half of the rows with y_s = 1 carry.
    """
    assert out.whole is not None
    distances: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "l1": F.l1_loss,
        "huber": F.huber_loss,
        "squared": F.mse_loss,
    }
    return (
        training.lambda_target * F.binary_cross_entropy_with_logits(out.target, batch.labels["y"])
        + training.lambda_source * source_loss(out, batch)
        + training.lambda_transfer * distances[kind](out.whole, batch.labels["icl"])
        + training.lambda_order * order_loss(out, batch)
    )


def source_loss(out: Outputs, batch: Batch) -> Tensor:
    """Σ_k BCE(p_s,k, y_s,k)."""
    loss = F.binary_cross_entropy_with_logits(
        out.source_aux, batch.labels["source"], reduction="none"
    )
    return loss.mean(0).sum()


def transfer_loss(out: Outputs, batch: Batch) -> Tensor:
    """Σ_k mean over rows with y_s,k = 1 of BCE(p_tr,k, a_k) (ours)."""
    return _masked(out.transfer, batch.labels["consistent"], batch.labels["shown"]).sum()


def order_loss(out: Outputs, batch: Batch) -> Tensor:
    """BCE(P(y) · P(order | y), y_order) over all rows (ESMM, Ma et al. 2018b, eq. 1 and 4).

    Over all rows, since rows with an outcome alone are a selection that no request comes from. P(y)
    is held fixed here: the main head answers to its own term, and its calibration stays as it is.
    """
    outcome = out.logit if out.whole is None else out.target
    chance = F.logsigmoid(outcome.detach()) + F.logsigmoid(out.order)
    # A chance of one would make what did not happen infinitely surprising.
    chance = chance.clamp(max=-1e-6)
    ordered = batch.labels["order"]
    return -(ordered * chance + (1 - ordered) * torch.log(-torch.expm1(chance))).mean()


def loss_of(out: Outputs, batch: Batch, model: ModelSpec, training: TrainingSpec) -> Tensor:
    """The loss that goes with a model's combination."""
    if out.whole is not None:
        return sum_loss(out, batch, training, model.sum_loss)
    return carry_loss(out, batch, training)


def _masked(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """float[n, K] → float[K]: each column's mean BCE where its mask is 1; 0 where none is."""
    loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (loss * mask).sum(0) / mask.sum(0).clamp(min=1)
