"""One step of training: the forward pass at its precision, the loss by term, the update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.losses import terms_of
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training.sparse import RowwiseAdagrad, densify, sparse_tables, unique_rows
from exit_pipeline.training.team import ALONE, Team

# κ is one number per unit and source before a softplus, ρ one per source: at the common rate they
# stay near their start.
# Ten times that lowers validation logloss on the tests' rows by 0.001, in each of six seeds.
STRENGTH_RATE = 10.0


class Stepper:
    """Takes steps on a model.

    Args:
        model: Changed in place.
        model_spec: Decides the loss.
        spec: Rates and precision.
        device: Where to train; on CUDA with automatic mixed precision.
        team: Who takes the same steps, each on rows of its own.
    """

    def __init__(
        self, model: nn.Module, model_spec: ModelSpec, spec: TrainingSpec, device: torch.device,
        team: Team = ALONE,
    ) -> None:  # fmt: skip
        self.model, self.model_spec, self.spec, self.device = model, model_spec, spec, device
        self.team = team
        # Apple's backend has no sparse gradients.
        tables = {} if device.type == "mps" else sparse_tables(model)
        large = {name: t for name, t in tables.items()
                 if name.startswith("rows.") and len(t) > spec.table_rows}  # fmt: skip
        self.small = [table for name, table in tables.items() if name not in large]
        self.large = [*large.values()]
        self.shared = team.wrapped(model, [*tables])
        rest = {name: p for name, p in model.named_parameters() if name not in large}
        dense = torch.optim.AdamW(
            _groups(rest, spec.learning_rate),
            lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True,
        )  # fmt: skip
        self.optimizers: dict[str, torch.optim.Optimizer] = {"dense": dense}
        if large:
            self.optimizers["tables"] = RowwiseAdagrad(self.large, spec.table_rate)
        for group in self.groups:
            group["full"] = group["lr"]
        self.on_gpu = device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.on_gpu)
        self.low = torch.float16 if self.on_gpu else torch.bfloat16
        self.mixed = self.on_gpu or uses_bf16(spec.precision, device)

    def __call__(self, batch: Batch, rate: float = 1.0, weight: float = 1.0) -> float:
        """Takes one step.

        Args:
            batch: Of this process.
            rate: A share of the learning rates.
            weight: How much its rows count in the team's mean.

        Returns:
            The batch's loss.
        """
        self.model.zero_grad(set_to_none=True)
        for group in self.groups:
            group["lr"] = group["full"] * rate
        loss = torch.stack([*self.terms(batch, self.shared).values()]).sum()
        self.scaler.scale(loss * weight).backward()
        for table in self.small:
            densify(table)
        self.team.average(self.small, self.large)
        for optimizer in self.optimizers.values():
            self.scaler.step(optimizer)
        self.scaler.update()
        return float(loss.detach())

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Groups of parameters, each with its rate now (`lr`) and at first (`full`)."""
        return [group for one in self.optimizers.values() for group in one.param_groups]

    def terms(self, batch: Batch, model: nn.Module) -> dict[str, Tensor]:
        """Runs the model over a batch; returns the weighted terms of the loss."""
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, self.low, enabled=self.mixed):
            out = model(batch)
        return terms_of(_floats(out), batch, self.model_spec, self.spec)

    def balance(self, batch: Batch) -> dict[str, float]:
        """Norms of each term's gradient at what all of them share: the embeddings."""
        shared = [p for name, p in self.model.named_parameters() if name.startswith("rows.")]
        norms = {}
        for name, term in self.terms(batch, self.model).items():
            gradients = torch.autograd.grad(term, shared, retain_graph=True, allow_unused=True)
            sums = [unique_rows(g)[1] if g.is_sparse else g for g in gradients if g is not None]
            squares = [g.float().square().sum() for g in sums]
            norms[name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
        return norms


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether products run in bf16: asked for, or the processor has units for it."""
    if device.type != "cpu" or precision == "fp32":
        return False
    return precision == "bf16" or torch.cpu._is_avx512_bf16_supported()


def _groups(named: Mapping[str, nn.Parameter], rate: float) -> list[dict[str, Any]]:
    """Parameters in two groups: all, and κ and ρ, which learn faster."""
    quick = ("strength.", "resistance")
    fast = {name: value for name, value in named.items() if name.startswith(quick)}
    rest = [value for name, value in named.items() if name not in fast]
    groups: list[dict[str, Any]] = [{"params": rest}]
    return [*groups, {"params": list(fast.values()), "lr": rate * STRENGTH_RATE}]


def _floats(out: Outputs) -> Outputs:
    """Losses are taken in 32 bits, also under mixed precision."""
    values = {name: value.float() for name, value in vars(out).items() if value is not None}
    return Outputs(**values)
