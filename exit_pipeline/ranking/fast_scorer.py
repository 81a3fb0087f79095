"""Scores one user's candidates fast: what does not change from request to request is done once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from exit_pipeline.features.inputs import context_columns, interest_columns
from exit_pipeline.features.interest import user_interest
from exit_pipeline.model.embeddings import RowEmbedding
from exit_pipeline.model.exit import Exit
from exit_pipeline.model.inputs import Batch
from exit_pipeline.ranking.policy import Governed
from exit_pipeline.ranking.rows import UserRow, cell_of
from exit_pipeline.ranking.scorer import Scorer, Scores
from exit_pipeline.ranking.snapshot import Candidates, Snapshot
from exit_pipeline.ranking.split import Split, Units
from exit_pipeline.times import since_epoch

ROWS = 4096  # scored at a time
Encoded = tuple[np.ndarray, np.ndarray]  # what `Share.encoded` returns
NO_WORDS = np.empty((0, 0), np.int64)


@dataclass(frozen=True)
class Request:
    """What is the same for all candidates of a request, or for those of a unit.

    Args:
        candidates: n items.
        units: Their u interest units, each once.
        index: int64[u], these as the model encodes them.
        slot: int64[n], which of them is each candidate's.
        encoded: Of user and scene, as `Share.encoded` has it.
        states: By domain what `user_interest` found.
        groups: int64[u], rows of the groups.
        governed: What the policy says of the units.
    """

    candidates: Candidates
    units: list[str | None]
    index: Tensor
    slot: Tensor
    encoded: Encoded
    states: list[tuple[dict[str | None, int], np.ndarray]]
    groups: Tensor
    governed: Governed


class FastScorer:
    """A trained model over a snapshot of the item side; the scores are the `Scorer`'s to 1e-5.

    The first layer is linear in a row's encoded inputs, so it is a sum over columns: what items
    and groups add is computed when it is made (4 · F bytes of each; F is the width of all
    first layers, 1,216 by default), what the user and the scene add once a request, and what the
    user's interest in a unit adds once a unit. A candidate pays for the layers after it.

        fast = FastScorer(Scorer.load(folder, spec.policy), Snapshot.load(settings, lake, spec))
        user = UserReader(store, spec)(user_id, at)         # out of Feast
        candidates = fast.snapshot.candidates(items, at)  # ids → rows, units, what is unknown
        scores = fast.score(user, candidates, scene, at)

    Nothing changes once it is made: threads may share it. Set `torch.set_num_threads(1)`.

    Args:
        scorer: Of a model of one of the `FORMS`; its policy governs here too.
        snapshot: The items and groups.

    Raises:
        UsageError: The model is of another form.
        ModelFileError: The model reads columns that the profile does not have.
    """

    @torch.inference_mode()
    def __init__(self, scorer: Scorer, snapshot: Snapshot) -> None:
        self.scorer, self.snapshot, self.spec = scorer, snapshot, snapshot.spec
        model = scorer.model
        self.split = Split(model, snapshot.spec)
        self.nets, self.shares = self.split.nets, self.split.shares
        self.items = self._of_table("item", _item_columns(snapshot))
        names = self.shares["group"].spec.columns
        groups = {name: [*snapshot.groups[name].to_pylist(), None] for name in names}
        self.groups = self._of_table("group", groups)
        if names:
            self.group_numbers = self.shares["group"].encoded(groups)[1]
        embed = model.module.rows
        assert isinstance(embed, RowEmbedding)
        self.embed = embed
        # Over all inputs but the items': what rules change is computed anew.
        self.rest = self.nets.weight.clone()
        self.rest[self.shares["item"].inputs] = 0
        every = [
            n for d in (self.spec.target, *self.spec.sources) for n in interest_columns(d)[:-1]
        ]
        self.state_columns = [every.index(name) for name in self.shares["state"].spec.numbers]

    def score(
        self, user: UserRow, candidates: Candidates, scene: Mapping[str, str], at: datetime
    ) -> Scores:
        """Scores n ≥ 1 candidates.

        Args:
            user: What is known of who asks, at that time.
            candidates: What `snapshot.candidates` found at that time.
            scene: Complete (see `scene_of`).
            at: The request's time.

        Returns:
            n scores with their parts, in the candidates' order.
        """
        return self.scores(self.request(user, candidates, scene, at))

    @torch.inference_mode()
    def scores(self, request: Request) -> Scores:
        """Scores a request whose features are at hand."""
        slot, (base, units) = request.slot, self._of_units(request)
        found = []
        for start in range(0, len(slot), ROWS):
            here = slice(start, start + ROWS)
            h = self._of_items(request.candidates, here)
            h.add_(base if len(base) == 1 else base.index_select(0, slot[here]))
            found.append(self.split.outputs(h, slot[here], units))
        out = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        return self.scorer.scores(out, request.governed.rule[slot.numpy()])

    def request(
        self, user: UserRow, candidates: Candidates, scene: Mapping[str, str], at: datetime
    ) -> Request:
        """Makes features of what is known of the user and the scene; arguments as for `score`."""
        slots = {unit: slot for slot, unit in enumerate(dict.fromkeys(candidates.units))}
        slot = torch.from_numpy(np.array([slots[unit] for unit in candidates.units]))
        units = list(slots)
        spec, features = self.spec, self.spec.features
        values = {**user.values, "user_id": user.user_id, "position": None}
        values |= {name: scene.get(name) for name in context_columns(spec)}
        states, now_us = [], since_epoch(at)
        for domain in (spec.target, *spec.sources):
            rows, found, values[f"{domain}_activity"] = user_interest(
                user.values, domain, now_us,
                half_life_us=features.half_life_us,
                window_us=features.window_us, hold_us=features.hold_us,
            )  # fmt: skip
            states.append((rows, found))
        groups = self.snapshot.group_rows(units, cell_of(spec, scene, user), at)
        share = self.shares["request"]
        names = (*share.spec.categorical, *share.spec.numbers)
        encoded = share.encoded({name: [values.get(name)] for name in names})
        governed = self._governed(units, values)
        return Request(
            candidates, units, self.split.units(units), slot, encoded, states,
            torch.from_numpy(groups), governed,
        )  # fmt: skip

    def _governed(self, units: list[str | None], values: Mapping[str, Any]) -> Governed:
        policy, n = self.scorer.policy, len(units)
        if not policy.rules:
            return policy.free(n)
        names = ("user_id", *self.spec.users, *context_columns(self.spec))
        columns = {name: pa.array([values.get(name)] * n) for name in names}
        columns[self.scorer.model.encoder.unit] = pa.array(units, pa.string())
        return policy(pa.RecordBatch.from_pydict(columns))

    def _of_units(self, request: Request) -> tuple[Tensor, Units]:
        """All but what the items add: float[u, F], or of one row where all units are alike."""
        governed, rows = request.governed, request.governed.rows
        hidden = torch.from_numpy(governed.forbidden)
        bounds = torch.from_numpy(governed.bounds) if len(rows) else None
        units = Units(request.index, hidden, torch.zeros(hidden.shape), bounds=bounds)
        base = self.shares["request"](*request.encoded).add_(self.nets.bias)
        if not (self.shares["state"] or self.shares["group"]):
            return base, units
        of_interest = set().union(*(rows for rows, _ in request.states))
        # Not the governed ones, so that what is done there changes nothing here, to the bit.
        asked = {u for u, unit in enumerate(request.units) if unit in of_interest}
        known = sorted(asked.difference(rows.tolist()))
        state = self._state(request)
        states = self.shares["state"](NO_WORDS, state[[*known, -1]]).add_(base)
        slot = torch.full((len(request.units),), len(known))
        slot[known] = torch.arange(len(known))
        found = self.groups.index_select(0, request.groups).add_(states.index_select(0, slot))
        if len(rows):
            found[rows] = self._ruled(request, rows, state)
        return found, self._seen(request, known, units, state)

    def _seen(self, request: Request, known: list[int], units: Units, state: np.ndarray) -> Units:
        """Says what the trunk sees of sources where it may not see all."""
        ruled = request.governed.rows.tolist()
        module = self.scorer.model.module
        if not isinstance(module, Exit):
            return units
        every = list(range(len(request.units)))
        asked = {"gated": [*known, *ruled], "open": ruled, "closed": every}[module.spec.trunk]
        if not asked:
            return units
        at, place = torch.tensor(asked), torch.zeros(len(request.units), dtype=torch.int64)
        numbers = self._numbers(request, np.array(asked, np.int64), state)
        units.known[at] = module.known(torch.from_numpy(numbers), units.index[at])
        spread = self.split.spread(numbers)
        if ruled:
            spread.masked_fill_(units.hidden[at][..., None], 0)
        place[at] = torch.arange(len(asked))
        return replace(units, spread=spread, place=place)

    def _numbers(self, request: Request, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        """float32[g, M]: the numbers that the model reads of some units; none of the items'."""
        numbers = np.full((len(rows), len(self.scorer.model.encoder.spec.numbers)), np.nan, "f4")
        numbers[:, self.shares["request"].numbers] = request.encoded[1]
        numbers[:, self.shares["state"].numbers] = state[rows]
        if len(self.shares["group"].numbers):
            groups = self.group_numbers[request.groups.numpy()[rows]]
            numbers[:, self.shares["group"].numbers] = groups
        return numbers

    def _state(self, request: Request) -> np.ndarray:
        """float32[u + 1, j]: the user's interest in each unit; the last is without interest."""
        units = [*request.units, None]
        parts = [found[[rows.get(unit, -1) for unit in units]] for rows, found in request.states]
        return np.concatenate(parts, axis=1)[:, self.state_columns].astype(np.float32)

    def _ruled(self, request: Request, rows: np.ndarray, state: np.ndarray) -> Tensor:
        """float[g, F] of units that rules act on, as the model itself encodes them.

        Computed from what may be seen alone, not corrected afterwards: nothing of a forbidden
        source is in it, to the bit.
        """
        columns = len(self.scorer.model.encoder.spec.categorical)
        categorical = torch.zeros(len(rows), columns, dtype=torch.int64)
        categorical[:, self.shares["request"].words] = torch.from_numpy(request.encoded[0])
        numeric = torch.from_numpy(self._numbers(request, rows, state))
        forbidden = torch.from_numpy(request.governed.take(rows).forbidden)
        batch = Batch(categorical, numeric, forbidden, {})
        return (self.embed(batch, forbidden).joined() @ self.rest).add_(self.nets.bias)

    def _of_items(self, candidates: Candidates, here: slice) -> Tensor:
        """float[n, F]: what the items add, for unknown ones by their id alone."""
        rows = candidates.rows[here]
        found = self.items.index_select(0, torch.from_numpy(rows))
        share = self.shares["item"]
        missing = np.flatnonzero(rows == len(self.items) - 1)
        if len(missing) and any(share.vocabularies):
            nothing = dict.fromkeys(share.spec.columns, [None] * len(missing))
            ids = [candidates.items[here][i] for i in missing.tolist()]
            units = [candidates.units[here][i] for i in missing.tolist()]
            found[missing] = share(*share.encoded({**nothing, "item_id": ids, "unit": units}))
        return found

    def _of_table(self, name: str, columns: Mapping[str, Sequence]) -> Tensor:
        """float[N, F]: what each row of a table adds; none where the model reads nothing of it."""
        share = self.shares[name]
        if not share:
            return torch.zeros(0, len(self.nets.bias))
        indices, numbers = share.encoded(columns)
        parts = [slice(start, start + ROWS) for start in range(0, len(indices), ROWS)]
        return torch.cat([share(indices[at], numbers[at]) for at in parts])


def _item_columns(snapshot: Snapshot) -> dict[str, list]:
    """By column the values of all items, and of one of which nothing is known."""
    items, unit = snapshot.items, snapshot.spec.interest_unit
    columns = {name: [*items[name].to_pylist(), None] for name in items.schema.names}
    return {**columns, "unit": columns[unit]}
