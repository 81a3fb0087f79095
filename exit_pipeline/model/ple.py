"""The baseline PLE: experts of each task beside shared ones, extracted level by level."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from exit_pipeline.model.backbone import TabM
from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch, Outputs
from exit_pipeline.model.tasks import TaskHeads, mix
from exit_pipeline.profile.learning import ModelSpec


class PLE(Model):
    """Progressive layered extraction (Tang et al. 2020, eq. 2–8), a level per hidden layer.

    A task's gate mixes its own expert and the shared ones; the shared gate mixes all of them. At
    the first level gates read the row, then what the level before made of their task. Adapted:
    members of the ensemble share a gate, which reads their mean.

    Args:
        encoder: Vocabularies and bins.
        spec: Form and size; `experts` shared ones, one of each task's own.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        super().__init__(encoder, spec)
        self.tasks = 1 + self.sources
        last = len(spec.hidden) - 1
        widths: list[Sequence[int]] = [self.rows.widths, *([w] for w in spec.hidden[:-1])]
        self.levels = nn.ModuleList(
            Level(inputs, self.tasks, spec, width, shared_gate=level < last)
            for level, (inputs, width) in enumerate(zip(widths, spec.hidden, strict=True))
        )
        self.heads = TaskHeads(spec.hidden[-1], self.sources, spec.members)

    def forward(self, batch: Batch) -> Outputs:
        """Encoded rows → everything the model says of them."""
        row = self.rows(batch, batch.hidden)
        parts: list[tuple[Tensor, ...]] = [(row.words, row.numbers)] * (self.tasks + 1)
        asked = [row.joined()] * (self.tasks + 1)
        for level in self.levels:
            made = level(parts, asked)
            parts, asked = [(h,) for h in made], [h.mean(0) for h in made]
        return self.heads(made)


class Level(nn.Module):
    """One level of extraction.

    Args:
        inputs: Widths of what its experts read; its gates read all of it.
        tasks: Number of tasks.
        spec: Sizes.
        width: Of its experts.
        shared_gate: Whether a level follows, for which the shared experts need a mix too.
    """

    def __init__(
        self, inputs: Sequence[int], tasks: int, spec: ModelSpec, width: int, *, shared_gate: bool,
    ) -> None:  # fmt: skip
        super().__init__()

        def experts(number: int) -> nn.ModuleList:
            made = (TabM(inputs, (width,), spec.members, spec.dropout) for _ in range(number))
            return nn.ModuleList(made)

        self.own, self.shared = experts(tasks), experts(spec.experts)
        sizes = [1 + spec.experts] * tasks + [tasks + spec.experts] * shared_gate
        self.gates = nn.ModuleList(nn.Linear(sum(inputs), size) for size in sizes)

    def forward(self, parts: list[tuple[Tensor, ...]], asked: list[Tensor]) -> list[Tensor]:
        """What experts and gates of each task, and last of the shared part, read → what they say.

        Args:
            parts: What each part's experts read.
            asked: float[n, inputs], what each part's gate reads.

        Returns:
            float[m, n, width] of each part; of the tasks alone at the last level.
        """
        own = [expert(*part) for expert, part in zip(self.own, parts, strict=False)]
        shared = [expert(*parts[-1]) for expert in self.shared]
        read = [[h, *shared] for h in own] + [[*own, *shared]]
        return [mix(gate(x), said) for gate, x, said in zip(self.gates, asked, read, strict=False)]
