"""Scores one user's candidates fast: what does not change from request to request is done once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from exit_pipeline.features.inputs import context_columns, interest_columns
from exit_pipeline.features.interest import user_interest
from exit_pipeline.model.embeddings import RowEmbedding
from exit_pipeline.model.exit import Exit
from exit_pipeline.model.inputs import Batch
from exit_pipeline.ranking.policy import Governed
from exit_pipeline.ranking.rows import UserRow, cell_of
from exit_pipeline.ranking.scorer import Scorer, Scores
from exit_pipeline.ranking.snapshot import Candidates, Snapshot
from exit_pipeline.ranking.split import First, Split, Units
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
    index: np.ndarray
    slot: np.ndarray
    encoded: Encoded
    states: list[tuple[dict[str | None, int], np.ndarray]]
    groups: np.ndarray
    governed: Governed


@dataclass(frozen=True)
class Told:
    """Units of which the user's interest tells something.

    Args:
        free: Places of those that no rule acts on, rising.
        ruled: Of those that some rule acts on.
        state: float32[g + 1, j], what it tells of either in turn, and of a unit without interest.
    """

    free: list[int]
    ruled: list[int]
    state: np.ndarray

    @property
    def units(self) -> list[int]:
        """The g places."""
        return [*self.free, *self.ruled]


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
        if names:
            groups = {name: [*snapshot.groups[name].to_pylist(), None] for name in names}
            self.groups = self._of_table("group", groups)
            n = len(snapshot.groups) + 1
            self.group_numbers = self.shares["group"].encoded(groups, n)[1]
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
        self._compile()

    def _compile(self) -> None:
        """Has all loops compiled, so that no request waits for it: asks what nobody does."""
        nobody, at = UserRow.unknown(self.spec, "", ""), self.snapshot.as_of
        self.score(nobody, self.snapshot.candidates(["", "-"], at), {}, at)

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

    def scores(self, request: Request) -> Scores:
        """Scores a request whose features are at hand."""
        slot, (base, units) = request.slot, self._of_units(request)
        found = []
        for start in range(0, len(slot), ROWS):
            here = slice(start, start + ROWS)
            items, rows = self._of_items(request.candidates, here)
            found.append(self.split.outputs(First(items, rows, base, slot[here]), units))
        out = found[0]
        if len(found) > 1:
            out = {name: np.concatenate([one[name] for one in found]) for name in out}
        return self.scorer.scores(out, request.governed.rule[slot])

    def request(
        self, user: UserRow, candidates: Candidates, scene: Mapping[str, str], at: datetime
    ) -> Request:
        """Makes features of what is known of the user and the scene; arguments as for `score`."""
        slots = {unit: slot for slot, unit in enumerate(dict.fromkeys(candidates.units))}
        slot = np.array([slots[unit] for unit in candidates.units])
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
        encoded = share.encoded({name: [values.get(name)] for name in names}, 1)
        governed = self._governed(units, values)
        return Request(
            candidates, units, self.split.units(units), slot, encoded, states, groups, governed
        )

    def _governed(self, units: list[str | None], values: Mapping[str, Any]) -> Governed:
        policy, n = self.scorer.policy, len(units)
        if not policy.rules:
            return policy.free(n)
        names = ("user_id", *self.spec.users, *context_columns(self.spec))
        columns = {name: pa.array([values.get(name)] * n) for name in names}
        columns[self.scorer.model.encoder.unit] = pa.array(units, pa.string())
        return policy(pa.RecordBatch.from_pydict(columns))

    def _of_units(self, request: Request) -> tuple[np.ndarray, Units]:
        """float32[u, F]: all but what the items add, by unit."""
        alike = self.nets.bias.numpy()[None].copy()
        self.shares["request"].add(*request.encoded, alike)
        told = self._told(request)
        states = np.repeat(alike, len(told.free) + 1, axis=0)
        self.shares["state"].add(NO_WORDS, told.state[[*range(len(told.free)), -1]], states)
        slot = np.full(len(request.units), len(told.free))
        slot[told.free] = np.arange(len(told.free))
        base = states[slot]
        if self.shares["group"]:
            base += self.groups[request.groups]
        if told.ruled:
            base[told.ruled] = self._ruled(request, told)
        return base, self._seen(request, told)

    def _told(self, request: Request) -> Told:
        """Finds the units of which interest tells something, and what."""
        ruled = request.governed.rows.tolist()
        of_interest = (
            set().union(*(rows for rows, _ in request.states)) if self.shares["state"] else ()
        )
        asked = {u for u, unit in enumerate(request.units) if unit in of_interest}
        # Not the governed ones, so that what is done there changes nothing here, to the bit.
        free = sorted(asked.difference(ruled))
        units = [*(request.units[u] for u in (*free, *ruled)), None]
        parts = [found[[rows.get(u, -1) for u in units]] for rows, found in request.states]
        state = np.concatenate(parts, axis=1)[:, self.state_columns].astype(np.float32, order="C")
        return Told(free, ruled, state)

    def _seen(self, request: Request, told: Told) -> Units:
        """Says what the trunk sees of sources where it may not see all."""
        units = Units.of(request.index, request.governed)
        module = self.scorer.model.module
        if not isinstance(module, Exit):
            return units
        every = range(len(request.units))
        asked = {"gated": told.units, "open": told.ruled, "closed": every}[module.spec.trunk]
        if not len(asked):
            return units
        at, numbers = np.array(asked), self._numbers(request, asked, told)
        units.known[at] = self.split.formula.known(numbers, units.index[at])
        units.place[at] = np.arange(len(at))
        spread = self.split.spread(numbers)
        if told.ruled:
            spread[units.hidden[at]] = 0
        return replace(units, spread=spread)

    def _numbers(self, request: Request, asked: Sequence[int], told: Told) -> np.ndarray:
        """float32[g, M]: the numbers that the model reads of some units; none of the items'."""
        numbers = np.full((len(asked), len(self.scorer.model.encoder.spec.numbers)), np.nan, "f4")
        numbers[:, self.shares["request"].numbers] = request.encoded[1]
        place = {u: row for row, u in enumerate(told.units)}
        state = told.state[[place.get(u, -1) for u in asked]]
        numbers[:, self.shares["state"].numbers] = state
        if len(self.shares["group"].numbers):
            groups = self.group_numbers[request.groups[asked]]
            numbers[:, self.shares["group"].numbers] = groups
        return numbers

    @torch.inference_mode()
    def _ruled(self, request: Request, told: Told) -> np.ndarray:
        """float32[g, F] of units that rules act on, as the model itself encodes them.

        Computed from what may be seen alone, not corrected afterwards: nothing of a forbidden
        source is in it, to the bit.
        """
        columns = len(self.scorer.model.encoder.spec.categorical)
        categorical = torch.zeros(len(told.ruled), columns, dtype=torch.int64)
        categorical[:, self.shares["request"].words] = torch.from_numpy(request.encoded[0])
        numeric = torch.from_numpy(self._numbers(request, told.ruled, told))
        forbidden = torch.from_numpy(request.governed.forbidden[told.ruled])
        batch = Batch(categorical, numeric, forbidden, {})
        return (self.embed(batch, forbidden).joined() @ self.rest).add_(self.nets.bias).numpy()

    def _of_items(self, candidates: Candidates, here: slice) -> tuple[np.ndarray, np.ndarray]:
        """What items add, and the candidates' rows of it; an unknown one adds what its id does."""
        rows, share = candidates.rows[here], self.shares["item"]
        if rows.max() >= len(self.items):  # compiled loops would read what lies behind
            raise IndexError("candidates of another snapshot")
        missing = rows == len(self.items) - 1
        if not any(share.vocabularies) or not missing.any():
            return self.items, rows
        at = np.flatnonzero(missing).tolist()
        ids, units = candidates.items[here], candidates.units[here]
        known: dict[str, list] = {"item_id": [ids[i] for i in at], "unit": [units[i] for i in at]}
        alone = dict.fromkeys(share.spec.columns, [None] * len(at)) | known
        found = self.items[rows]
        found[at] = self._of_table("item", alone)
        return found, np.arange(len(rows))

    def _of_table(self, name: str, columns: Mapping[str, Sequence]) -> np.ndarray:
        """float32[N, F]: what each of N rows adds."""
        share, n = self.shares[name], len(next(iter(columns.values())))
        out = np.zeros((n, len(self.nets.bias)), np.float32)
        if share:
            share.add(*share.encoded(columns, n), out)
        return out


def _item_columns(snapshot: Snapshot) -> dict[str, list]:
    """By column the values of all items, and of one of which nothing is known."""
    items, unit = snapshot.items, snapshot.spec.interest_unit
    columns = {name: [*items[name].to_pylist(), None] for name in items.schema.names}
    return {**columns, "unit": columns[unit]}
