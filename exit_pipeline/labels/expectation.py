"""What a regression expects of exposures from the target alone: `expectation: regression` (ours).

Each day has a regression of its own, fitted to exposures without interest in any source that were
known, with their outcome, on its morning. It says how likely an exposure of the day is to have an
outcome, from what was known before it: how often its group responds, the user's own response to
the unit, and how often the user was shown it. What is expected of a group is the sum of that over
its exposures with interest, so nothing was fitted to what it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from exit_pipeline.errors import LakeError
from exit_pipeline.labels.names import names, values
from exit_pipeline.lake import Lake, create_table, render
from exit_pipeline.lake.table import days_between
from exit_pipeline.profile import ProfileSpec

FACTS = ("constant", "group_odds", "own_lift", "familiar")
# Without exposures to learn from, an exposure is expected to respond as its group does.
PRIOR = np.array([0.0, 1.0, 0.0, 0.0])
# A step as small as this moves no expectation by a millionth.
CONVERGED = 1e-9


def make_expected(
    connection: duckdb.DuckDBPyConnection, lake: Lake, spec: ProfileSpec, first: date, last: date
) -> None:
    """Makes `expected`: the rows of `signed`, each with the outcome that was expected of it.

    Beside it `response_sums` of the days are stored: what regressions of later days learn from.

    Args:
        connection: Has `labelled` and `versions`.
        lake: Where `group_sums` and `response_sums` of the days before `first` are.
        spec: The profile.
        first: The first effective day of the sums.
        last: The last one.

    Raises:
        LakeError: Earlier days were summed with another expectation.
    """
    bound, earlier = values(spec, first, last), lake.columns("group_sums")
    if earlier:
        if "n0" not in earlier:
            raise LakeError(
                "the sums of earlier days lack what a regression learns from",
                where="group_sums",
                mend="labels.consistency.expectation was changed: build all tables anew, by "
                "--full-refresh, or in another place where EXIT_LAKE is set",
            )
        lake.view(connection, "group_sums", [("ds", "<", first)])
    create_table(connection, "signed", "signed", bound, **names(spec))
    create_table(connection, "described", "described", bound, earlier=earlier)
    create_table(connection, "built", "response_sums", bound)
    lake.replace(connection, "response_sums", "built", days_between(first, last))
    lake.view(connection, "response_sums", [("ds", "<=", last)])
    days = sorted(day for (day,) in connection.table("signed").unique("ds").fetchall())
    fitted = coefficients(connection.sql(render("response_cells")).to_arrow_table(), days)
    columns = dict(zip(FACTS, fitted.T, strict=True))
    connection.register("coefficients", pa.table({"ds": pa.array(days, pa.date32()), **columns}))
    create_table(connection, "expected", "expected", bound)


def coefficients(cells: pa.Table, days: Sequence[date]) -> np.ndarray:
    """Fits one regression a day to the sums known on its morning.

    Args:
        cells: Rows of `response_cells.sql`, by day and cell.
        days: That rise.

    Returns:
        float64[days, 4], in the order of `FACTS`.
    """
    since, cell = cells["ds"].to_numpy(), cells["cell"].to_numpy()
    distinct, at = np.unique(cell, return_index=True)
    facts = np.ones((len(distinct), len(FACTS)))
    for number, name in enumerate(FACTS[1:], 1):
        facts[:, number] = cells[name].to_numpy()[at]
    fitted = []
    for day in days:
        known = since <= np.datetime64(day)
        n, c = (
            np.bincount(cell[known], cells[name].to_numpy()[known], len(distinct))
            for name in ("n", "c")
        )
        fitted.append(regression(facts, n, c))
    return np.reshape(fitted, (-1, len(FACTS)))


def regression(facts: np.ndarray, n: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Maximizes Σ c z − n ln(1 + e^z) − |β − PRIOR|² / 2 over β, with z = facts · β (Newton).

    Sums run in the order of the rows, in one thread, so that two runs agree in the last bit.

    Args:
        facts: float64[cells, 4].
        n: float64[cells], exposures.
        c: float64[cells], how many of them had an outcome.

    Returns:
        float64[4], β.
    """

    def gain(beta: np.ndarray) -> float:
        z = (facts * beta).sum(1)
        return float((c * z - n * np.logaddexp(0, z)).sum() - ((beta - PRIOR) ** 2).sum() / 2)

    beta, step = PRIOR, np.ones(len(PRIOR))
    while np.abs(step).max() > CONVERGED:
        chance = 1 / (1 + np.exp(-(facts * beta).sum(1)))
        slope = (facts * (c - n * chance)[:, None]).sum(0) - (beta - PRIOR)
        weighed = facts * (n * chance * (1 - chance))[:, None]
        curve = (facts[:, :, None] * weighed[:, None, :]).sum(0) + np.eye(len(PRIOR))
        step = np.linalg.solve(curve, slope)
        while np.abs(step).max() > CONVERGED and gain(beta + step) < gain(beta):
            step = step / 2
        beta = beta + step
    return beta
