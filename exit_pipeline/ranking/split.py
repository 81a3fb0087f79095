"""A model taken apart by the columns it reads: what each part adds to its first layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from exit_pipeline.errors import ModelFileError, UsageError
from exit_pipeline.features.inputs import context_columns, interest_columns, view_columns
from exit_pipeline.model.embeddings import POSITION, RowEmbedding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.exit import Exit, held
from exit_pipeline.model.tasks import alone
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.ranking.curves import Curves
from exit_pipeline.ranking.nets import nets_of
from exit_pipeline.ranking.scorer import Scorer, Scores, arrays
from exit_pipeline.training.artifact import TrainedModel


@dataclass(frozen=True)
class Units:
    """What concerns u interest units of one request, or rows one by one.

    Args:
        index: int64[u], as the model encodes them.
        hidden: bool[u, K], sources of which nothing is carried.
        known: float[u, K], see `Exit.known`; 0 where the trunk sees all.
        spread: float[g, K, W], what the trunk's first layer sees of each source more than of a
            hidden one, for units where that matters; None where it does for none.
        place: int64[u], where among those a unit stands; any of them where it sees all.
        bounds: float[u, K, 2], of a batch (see `Batch`).
    """

    index: Tensor
    hidden: Tensor
    known: Tensor
    spread: Tensor | None = None
    place: Tensor | None = None
    bounds: Tensor | None = None


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
        parts = _parts(spec, encoder.spec.columns)
        self.shares = {
            name: Share(nets.weight, rows, encoder, set(of)) for name, of in parts.items()
        }
        trunk = nets.weight[:, : nets.widths[0]]
        owned = list(encoder.spec.source_numeric.values())
        self.of_source = _places([name for of in owned for name in of], encoder.spec.numbers)
        begin, counts = len(encoder.spec.categorical) * rows.widths[0], [len(of) for of in owned]
        self.seen = Curves(trunk[begin:], rows.numeric, self.of_source, counts)
        self.of_hidden = trunk[len(trunk) - len(owned) :]
        units = encoder.vocabularies[encoder.unit]
        self.unit_index = {unit: i for i, unit in enumerate(units, 1)}

    def units(self, units: Sequence[str | None]) -> Tensor:
        """int64[n]: encoded interest units; 0 is unknown."""
        found = [0 if u is None else self.unit_index.get(u, 0) for u in units]
        return torch.from_numpy(np.array(found, np.int64))

    def spread(self, numbers: np.ndarray) -> Tensor:
        """float32[u, M] → float[u, K, W]; see `Units`."""
        return self.seen(numbers[:, self.of_source]).sub_(self.of_hidden)

    def outputs(self, h: Tensor, slot: Tensor, units: Units) -> dict[str, np.ndarray]:
        """What the nets say of n rows (see `arrays`).

        Args:
            h: float[n, F], the first layer before its ReLU, which is changed.
            slot: int64[n], which of the units is each row's.
            units: Those.
        """
        ends = accumulate(self.nets.widths)
        trunk, *sides = (h[:, end - w : end] for w, end in zip(self.nets.widths, ends, strict=True))
        target, *others = self.nets.nets
        module, hidden = self.model.module, units.hidden.index_select(0, slot)
        if not sides:
            members, order = target(trunk.relu_())
            return arrays(alone(members[None], order))
        source, transfer = (net(x.relu_()).T for net, x in zip(others, sides, strict=True))
        if isinstance(module, Exit):
            bounds = None if units.bounds is None else units.bounds.index_select(0, slot)
            transfer = held(transfer, bounds)
            known = units.known.index_select(0, slot)
            p_transfer = transfer.sigmoid()
            share = module.share(known, p_transfer, bounds)
            if share is not None and units.spread is not None and units.place is not None:
                _lessen(trunk, share, units.place.index_select(0, slot), units.spread)
        members, order = target(trunk.relu_())
        if isinstance(module, Exit):
            members = members - module.resisted(known, p_transfer, hidden, bounds)
        combine = module.combine
        index = units.index.index_select(0, slot)
        return arrays(combine(members[None], order, source, transfer, index, hidden))  # type: ignore[operator]

    @torch.inference_mode()
    def score(self, rows: pa.Table) -> Scores:
        """Scores n rows of the training set by their parts; without a policy."""
        h = self.nets.bias
        for share in self.shares.values():
            if share:
                read = rows.select(share.spec.columns).to_pydict()
                if POSITION in read:  # nobody knows one when scoring
                    read[POSITION] = [None] * rows.num_rows
                h = h + share(*share.encoded(read))
        scorer, slot = Scorer(self.model), torch.arange(rows.num_rows)
        free = scorer.policy.free(rows.num_rows)
        index, hidden = self.units(rows[self.model.encoder.unit].to_pylist()), free.forbidden
        units = Units(index, torch.from_numpy(hidden), torch.zeros(hidden.shape))
        if isinstance(self.model.module, Exit):
            numbers = self.model.encoder.encode(rows)[1]
            known = self.model.module.known(torch.from_numpy(numbers), index)
            units = replace(units, known=known, spread=self.spread(numbers), place=slot)
        return scorer.scores(self.outputs(h, slot, units), free.rule)


def _lessen(trunk: Tensor, share: Tensor, place: Tensor, spread: Tensor) -> None:
    """Lets the trunk see sources to a share only, in place: one product for all rows."""
    n, units, sources = len(share), *spread.shape[:2]
    less = torch.zeros(n, units, sources)
    less[torch.arange(n), place] = share - 1
    trunk.addmm_(less.flatten(1), spread.flatten(0, 1))


def largest_gap(model: TrainedModel, spec: ProfileSpec, rows: pa.Table) -> float:
    """Returns by how much σ(logit) of some row differs, taken apart, from the model's own.

    Before calibration, which is the same code for both: an isotonic map is nearly vertical between
    its knots and makes much of a rounding.
    """
    logits = Split(model, spec).score(rows).logit, Scorer(model).score(rows).logit
    taken_apart, whole = (1 / (1 + np.exp(-logit)) for logit in logits)
    return float(np.abs(taken_apart - whole).max(initial=0))


class Share:
    """What some columns add to the first layer; over all columns it is the first layer.

    Args:
        weight: float[d, F], over all inputs of a row.
        rows: The model's embeddings and bins.
        encoder: Its vocabularies.
        names: The columns.
    """

    def __init__(
        self, weight: Tensor, rows: RowEmbedding, encoder: Encoder, names: set[str]
    ) -> None:
        spec, dim = encoder.spec, rows.widths[0]
        self.spec = spec.without([name for name in spec.columns if name not in names])
        self.words = _places(self.spec.categorical, spec.categorical)
        self.numbers = _places(self.spec.numbers, spec.numbers)
        self.tables = [rows.categorical.tables[i].weight.detach().numpy() for i in self.words]
        self.vocabularies = [
            {} if len(table) == 1 else {w: i for i, w in enumerate(encoder.vocabularies[name], 1)}
            for table, name in zip(self.tables, self.spec.categorical, strict=True)
        ]
        begin, (total, bins) = len(spec.categorical) * dim, rows.numeric.low.shape
        of_words = (self.words[:, None] * dim + np.arange(dim)).ravel()
        of_bins = begin + (self.numbers[:, None] * bins + np.arange(bins)).ravel()
        self.inputs = np.concatenate([of_words, of_bins, begin + total * bins + self.numbers])
        self.weight = weight[of_words]
        self.curves = Curves(weight[begin:], rows.numeric, self.numbers, [len(self.numbers)])

    def __bool__(self) -> bool:
        return bool(self.spec.columns)

    def encoded(self, columns: Mapping[str, Sequence]) -> tuple[np.ndarray, np.ndarray]:
        """Encodes n values of each column as `Encoder` does: int64[n, c], float32[n, j]."""
        pairs = zip(self.vocabularies, self.spec.categorical, strict=True)
        indices = [[words.get(v, 0) for v in columns[name]] for words, name in pairs]
        numbers = [columns[name] for name in self.spec.numbers]
        n = len((indices or numbers)[0])
        return (
            np.array(indices, np.int64).reshape(-1, n).T,
            np.array(numbers, np.float64).reshape(-1, n).T.astype(np.float32, order="C"),
        )

    def __call__(self, indices: np.ndarray, numbers: np.ndarray) -> Tensor:
        """int64[n, c] and float32[n, j], NaN unknown → float[n, F].

        As `RowEmbedding` has it with no source hidden, in numpy, whose small steps cost less.
        """
        parts = [self.curves(numbers)[:, 0]] if len(self.numbers) else []
        if self.tables:
            words = [table[at] for table, at in zip(self.tables, indices.T, strict=True)]
            parts.append(torch.from_numpy(np.concatenate(words, axis=1)) @ self.weight)
        return parts[0] if len(parts) == 1 else parts[0].add_(parts[1])


def _parts(spec: ProfileSpec, columns: Sequence[str]) -> dict[str, set[str]]:
    """Says which of the model's columns are about items, groups, interest in a unit, the rest.

    Raises:
        ModelFileError: A column is none of the profile's.
    """
    views, domains = view_columns(spec), (spec.target, *spec.sources)
    interest = [name for domain in domains for name in interest_columns(domain)]
    activity = {f"{domain}_activity" for domain in domains}
    parts = {
        "item": {"item_id", "unit", *views["item_features"]},
        "group": set(views["scene_features"]),
        "state": set(interest) - activity,
        "request": {"user_id", "position", *views["user_features"], *context_columns(spec)}
        | activity,
    }
    unknown = [name for name in columns if not any(name in part for part in parts.values())]
    if unknown:
        raise ModelFileError(
            f"the model reads columns that the profile does not have: {', '.join(unknown)}",
            where="a model trained under an earlier profile",
            mend="bring the columns back, or train a model under this profile",
        )
    return parts


def _places(names: Sequence[str], among: Sequence[str]) -> np.ndarray:
    return np.array([among.index(name) for name in names], np.int64)
