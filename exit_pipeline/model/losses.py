"""Losses, each with its formula; means over the rows that a term concerns."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec


def carry_terms(out: Outputs, batch: Batch, training: TrainingSpec) -> dict[str, Tensor]:
    """BCE(P, y) + λ₂ Σ_k BCE(p_s,k, s_k) + λ₃ Σ_k mean over y_s,k = 1 of BCE(p_tr,k, a_k) (ours).

    The first term is the mean over ensemble members of each one's own loss (TabM, section 3).

    Args:
        out: Of n rows.
        batch: With labels `y`, `source`, `shown`, `consistent`, `order`.
        training: The weights λ.

    Returns:
        Weighted scalars, by term; the loss is their sum.
    """
    members = out.members + out.carry.sum(1)
    terms = {
        "outcome": member_loss(members, batch.labels["y"]),
        "order": training.lambda_order * order_loss(out, batch),
    }
    if out.source.shape[1]:
        terms["source"] = training.lambda_source * source_loss(out, batch)
    if out.transfer.shape[1]:
        terms["transfer"] = training.lambda_transfer * transfer_loss(out, batch)
    return terms


def sum_terms(out: Outputs, batch: Batch, training: TrainingSpec, kind: str) -> dict[str, Tensor]:
    """λ₁ CE(p_t, y) + λ₂ CE(p_s, y_s) + λ₃ d(P_whole, ICL), d by `kind` (the paper's is L1).

    The L1 term is a median: p_tr collapses where fewer than half of the rows with y_s = 1 carry.
    """
    assert out.whole is not None
    distances: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "l1": F.l1_loss,
        "huber": F.huber_loss,
        "squared": F.mse_loss,
    }
    return {
        "outcome": training.lambda_target * member_loss(out.members, batch.labels["y"]),
        "source": training.lambda_source * source_loss(out, batch),
        "transfer": training.lambda_transfer * distances[kind](out.whole, batch.labels["icl"]),
        "order": training.lambda_order * order_loss(out, batch),
    }


def member_loss(members: Tensor, y: Tensor) -> Tensor:
    """Mean BCE over members and rows: float[m, n] logits against float[n]."""
    return F.binary_cross_entropy_with_logits(members, y.expand_as(members))


def source_loss(out: Outputs, batch: Batch) -> Tensor:
    """Σ_k BCE(p_s,k, s_k), s_k by `model.source_label`; a graded one is a share of interest."""
    loss = F.binary_cross_entropy_with_logits(out.source, batch.labels["source"], reduction="none")
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


def terms_of(
    out: Outputs, batch: Batch, model: ModelSpec, training: TrainingSpec
) -> dict[str, Tensor]:
    """The terms of the loss that goes with a model's combination, weighted."""
    if out.whole is not None:
        return sum_terms(out, batch, training, model.sum_loss)
    return carry_terms(out, batch, training)


def _masked(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """float[n, K] → float[K]: each column's mean BCE where its mask is 1; 0 where none is."""
    loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (loss * mask).sum(0) / mask.sum(0).clamp(min=1)
