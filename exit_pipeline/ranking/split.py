"""A model taken apart by the columns it reads, and put together again from what each part adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from exit_pipeline.errors import UsageError
from exit_pipeline.model.embeddings import POSITION, RowEmbedding
from exit_pipeline.model.exit import Exit
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.curves import Curves
from exit_pipeline.ranking.formula import Formula
from exit_pipeline.ranking.kernels import carried, first_layer, gate, summed, trunk
from exit_pipeline.ranking.nets import Net, nets_of
from exit_pipeline.ranking.policy import Governed
from exit_pipeline.ranking.scorer import Scorer, Scores
from exit_pipeline.ranking.share import Share, parts, places
from exit_pipeline.training.artifact import TrainedModel


@dataclass(frozen=True)
class Units:
    """What concerns u interest units of one request, or rows one by one.

    Args:
        index: int64[u], as the model encodes them.
        hidden: bool[u, K], sources of which nothing is carried.
        bounds: float32[u, K, 2], of a batch (see `Batch`).
        known: float32[u, K], see `Exit.known`; 0 where the trunk sees all.
        place: int64[u], where in `spread` a unit stands; −1 where the trunk sees all.
        spread: float32[g, K, W], what the trunk's first layer sees of each source more than of a
            hidden one.
    """

    index: np.ndarray
    hidden: np.ndarray
    bounds: np.ndarray
    known: np.ndarray
    place: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, index: np.ndarray, governed: Governed) -> Units:
        """Units of which the trunk sees all, as far as that is not governed."""
        u, sources = governed.rule.shape
        bounds = np.full((u, sources, 2), np.nan, np.float32)
        if len(rows := governed.rows):
            bounds[rows] = governed.take(rows).bounds
        return cls(
            index, governed.forbidden, bounds, np.zeros((u, sources), np.float32),
            np.full(u, -1), np.empty((0, sources, 0), np.float32),
        )  # fmt: skip


@dataclass(frozen=True)
class First:
    """The first layer of n rows, before its ReLU: of a row, `items[row] + base[slot]`.

    Args:
        items: float32[N, F], what items add.
        rows: int64[n], of these.
        base: float32[u, F], what all else adds.
        slot: int64[n], of these.
    """

    items: np.ndarray
    rows: np.ndarray
    base: np.ndarray
    slot: np.ndarray

    def of(self, net: Net, begin: int) -> np.ndarray:
        """float32[1, n, width]: what a net of one member makes of it, after its ReLU."""
        out = np.empty((1, len(self.rows), net.width), np.float32)
        first_layer(self.items, self.rows, self.base, self.slot, begin, out[0])
        return out


class Split:
    """The first layer is linear in a row's encoded inputs, so it is a sum over their columns.

    Args:
        model: Of a form that `nets_of` knows.
        spec: The profile, which says whose the columns are.

    Raises:
        UsageError: The model is of another form.
        ModelFileError: The model reads columns that the profile does not have.
    """

    def __init__(self, model: TrainedModel, spec: ProfileSpec) -> None:
        self.model, encoder = model, model.encoder
        nets = nets_of(model.module, encoder)
        if nets is None:
            raise UsageError(
                f"{model.name!r} is not taken apart for serving",
                where="FastScorer",
                mend="score its rows with a Scorer",
            )
        self.nets, rows = nets, model.module.rows
        assert isinstance(rows, RowEmbedding)
        self.shares = {
            name: Share(nets.weight, rows, encoder, set(of))
            for name, of in parts(spec, encoder.spec.columns).items()
        }
        target = nets.nets[0]
        weight = nets.weight[:, : target.members * target.width]
        owned = list(encoder.spec.source_numeric.values())
        self.of_source = places([name for of in owned for name in of], encoder.spec.numbers)
        begin, counts = len(encoder.spec.categorical) * rows.widths[0], [len(of) for of in owned]
        self.seen = Curves(weight[begin:], rows.numeric, self.of_source, counts)
        self.of_hidden = weight[len(weight) - len(owned) :].numpy()
        units = encoder.vocabularies[encoder.unit]
        self.unit_index = {unit: i for i, unit in enumerate(units, 1)}
        self.formula = Formula.of(model.module, len(units) + 1, len(owned))

    def units(self, units: Sequence[str | None]) -> np.ndarray:
        """int64[n]: encoded interest units; 0 is unknown."""
        return np.array([0 if u is None else self.unit_index.get(u, 0) for u in units], np.int64)

    def spread(self, numbers: np.ndarray) -> np.ndarray:
        """float32[u, M] → float32[u, K, W]; see `Units`."""
        return self.seen(numbers[:, self.of_source]) - self.of_hidden

    def outputs(self, first: First, units: Units) -> dict[str, np.ndarray]:
        """What the nets say of n rows (see `arrays`).

        Args:
            first: The rows' first layer.
            units: The units that its slots are of.
        """
        target, *sides = self.nets.nets
        begins, slot, n = self.nets.begins, first.slot, len(first.slot)
        said = [net(first.of(net, at)) for net, at in zip(sides, begins[1:], strict=True)]
        source, transfer = said or np.empty((2, n, 0), np.float32)
        formula, share, resisted = self.formula, np.empty_like(transfer), np.empty(n)
        gate(
            transfer, slot, units.known, units.hidden, units.bounds,
            formula.closed, formula.taste, formula.resistance, share, resisted,
        )  # fmt: skip
        h = np.empty((target.members, n, target.width), np.float32)
        trunk(first.items, first.rows, first.base, slot, units.place, units.spread, share, h)
        z, order = target(h).T.astype(np.float64, order="C")
        z -= resisted
        own, carry = np.empty(n), np.empty(source.shape)
        if formula.summed:
            summed(z, source, transfer, slot, units.hidden, own, carry)
        else:
            strength = formula.strength[units.index]
            carried(z, source, transfer, slot, strength, units.hidden, own, carry)
        logits = {"source": source.astype(np.float64), "transfer": transfer.astype(np.float64)}
        return {"own": own, "carry": carry, "target": z, "order": order, **logits}

    @torch.inference_mode()
    def score(self, rows: pa.Table) -> Scores:
        """Scores n rows of the training set by their parts; without a policy."""
        every = np.arange(rows.num_rows)
        base = np.repeat(self.nets.bias[None].numpy(), len(every), axis=0)
        for share in self.shares.values():
            if share:
                read = rows.select(share.spec.columns).to_pydict()
                if POSITION in read:  # nobody knows one when scoring
                    read[POSITION] = [None] * len(every)
                share.add(*share.encoded(read, len(every)), base)
        scorer = Scorer(self.model)
        free = scorer.policy.free(len(every))
        units = Units.of(self.units(rows[self.model.encoder.unit].to_pylist()), free)
        if isinstance(self.model.module, Exit):
            numbers = self.model.encoder.encode(rows)[1]
            known, spread = self.formula.known(numbers, units.index), self.spread(numbers)
            units = replace(units, known=known, spread=spread, place=every)
        nothing = np.zeros((1, base.shape[1]), np.float32)
        first = First(nothing, np.zeros_like(every), base, every)
        return scorer.scores(self.outputs(first, units), free.rule)


def largest_gap(model: TrainedModel, spec: ProfileSpec, rows: pa.Table) -> float:
    """Returns by how much σ(logit) of some row differs, taken apart, from the model's own.

    Before calibration, which is the same code for both: an isotonic map is nearly vertical between
    its knots and makes much of a rounding.
    """
    logits = Split(model, spec).score(rows).logit, Scorer(model).score(rows).logit
    taken_apart, whole = (1 / (1 + np.exp(-logit)) for logit in logits)
    return float(np.abs(taken_apart - whole).max(initial=0))
