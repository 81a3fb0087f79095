"""How good scores are, over all rows and on slices, the planted truth's among them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exit_pipeline.evaluation.metrics import logloss_rows, spearman, summary
from exit_pipeline.experiments.bootstrap import auc_draws, draw_users, mean_draws
from exit_pipeline.experiments.slices import slices_of
from exit_pipeline.experiments.specs import HeldOut
from exit_pipeline.experiments.worlds import World

DRAWS, QUICK_DRAWS = 1000, 100


@dataclass(frozen=True)
class Rows:
    """Evaluation rows as arrays, their slices, and what is true of them.

    Args:
        y: float64[n].
        user: int64[n], numbered from 0.
        shown: bool[n, K], y_s,k = 1.
        slices: bool[n] by name, `all` first.
        transfer: float64[n, K], the planted transferability; None on real data.
        chance: float64[n], the planted chance of the outcome; None on real data.
        ids: SHA-256 of the rows' ids, in their order.
        draws: Draws of users, for intervals.
    """

    y: np.ndarray
    user: np.ndarray
    shown: np.ndarray
    slices: Mapping[str, np.ndarray]
    transfer: np.ndarray | None
    chance: np.ndarray | None
    ids: bytes
    draws: int

    def fingerprint(self, name: str) -> str:
        """Names the rows of a slice: runs are paired where these are equal.

        Users are numbered and drawn over all rows, so that all of them count.
        """
        mask = np.packbits(self.slices[name]).tobytes()
        return hashlib.sha256(self.ids + mask).hexdigest()[:16]

    @cached_property
    def times(self) -> np.ndarray:
        """How often each user is drawn, the same for all runs on these rows."""
        return draw_users(int(self.user.max()) + 1, self.draws, seed=0)


def rows_of(
    world: World, training: Sequence[str], least: int, held_out: HeldOut | None = None
) -> Rows:
    """Reads a world's evaluation rows.

    Args:
        world: Which.
        training: Files of the training rows: ids rarer there than `least` are cold.
        least: As the models' vocabularies count.
        held_out: What training had seen in its last days alone; a slice of its own.
    """
    table = world.evaluation
    shown = np.stack([np.asarray(table[f"ys_{s}"]) > 0 for s in world.inputs.sources], axis=1)
    truth, chance = _truth(world, table) if world.spec.simulated else (None, None)
    slices = slices_of(world, training, least, shown, truth, held_out)
    user = table["user_id"].combine_chunks().dictionary_encode().indices
    y = np.asarray(table["y"]).astype(float)
    draws = QUICK_DRAWS if world.spec.size == "quick" else DRAWS
    return Rows(y, np.asarray(user).astype(np.int64), shown, slices, truth, chance,
                _digest(table["event_id"]), draws)  # fmt: skip


def measure(rows: Rows, found: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Metrics of scores by slice; with the planted truth also those that outcomes tend to.

    Thousands of outcomes tell AUC to ± 0.003. By the planted chance of each row the same rows tell
    it far better: `expected_auc`, `expected_logloss`, `predicted_to_expected`.
    """
    slices = {
        name: {
            **summary(rows.y[mask], found["score"][mask], rows.user[mask]),
            **_expected(rows.chance, found["score"], mask),
            "fingerprint": rows.fingerprint(name),
        }
        for name, mask in rows.slices.items()
        if mask.any()
    }
    transfer = found.get("transfer")
    if rows.transfer is not None and transfer is not None and transfer.shape[1]:
        said, true = transfer[rows.shown], rows.transfer[rows.shown]
        slices["all"]["spearman"] = round(spearman(said, true), 6)
    return slices


def draws(rows: Rows, score: np.ndarray) -> dict[str, np.ndarray]:
    """AUC and logloss of each slice in each draw of users: `auc|SLICE`, `logloss|SLICE`.

    With the planted truth also `expected_auc|SLICE` and `expected_logloss|SLICE`.
    """
    outcomes = {"": rows.y, **({} if rows.chance is None else {"expected_": rows.chance})}
    found = {}
    for name, mask in rows.slices.items():
        if not 0 < rows.y[mask].sum() < mask.sum():
            continue
        said, user = score[mask], rows.user[mask]
        for kind, outcome in outcomes.items():
            loss = logloss_rows(outcome[mask], said)
            found[f"{kind}auc|{name}"] = auc_draws(outcome[mask], said, user, rows.times)
            found[f"{kind}logloss|{name}"] = mean_draws(loss, user, rows.times)
    return found


def _digest(ids: pa.ChunkedArray) -> bytes:
    whole = pa.ListArray.from_arrays([0, len(ids)], ids.combine_chunks())
    return hashlib.sha256(pc.binary_join(whole, "\0")[0].as_buffer()).digest()


def _expected(chance: np.ndarray | None, score: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    if chance is None:
        return {}
    chance, score, once = chance[mask], score[mask], np.ones((1, 1), np.int16)
    values = {
        "expected_auc": auc_draws(chance, score, np.zeros(len(score), np.int64), once)[0],
        "expected_logloss": logloss_rows(chance, score).mean(),
        "predicted_to_expected": score.sum() / chance.sum(),
    }
    return {name: round(float(value), 6) for name, value in values.items()}


def _truth(world: World, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """float64[n, K] and float64[n]: the planted transferability and chance of each row."""
    columns = [f"transfer_{s}" for s in world.inputs.sources]
    truth = pq.read_table(
        world.log / "truth" / "exposures", columns=["event_id", "p_click", *columns]
    )
    at = pc.index_in(table["event_id"].combine_chunks(), truth["event_id"].combine_chunks())
    transfer = np.stack([np.asarray(truth[column].take(at)) for column in columns], axis=1)
    return transfer, np.asarray(truth["p_click"].take(at))
