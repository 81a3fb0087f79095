"""What transfers where: learned transfer beside its label, by source, interest unit and cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from exit_pipeline.lake import render
from exit_pipeline.ranking.policy import Governed, Policy
from exit_pipeline.ranking.scorer import Scorer

Z95 = 1.959964
# With fewer rows Wilson's interval around one half is wider than half of the scale.
MIN_ROWS = 12
MAX_UNITS, MAX_PLACES = 24, 12
ALL = ""
PARTLY = "governed in part"


@dataclass(frozen=True)
class Cell:
    """Evaluation rows with y_s = 1 of one unit in one cell; either may be `ALL`.

    Args:
        unit: The interest unit.
        place: The group's cell, the part of the scene (and user) that labels are made for.
        rows: How many.
        learned: Mean p_transfer.
        label: Mean a.
        low: Lower end of the label's 95 % interval.
        high: Upper end.
        governed: Of those rows, how many a rule of the policy acts on.
        effects: What the rules do there: `capped`, `fixed`, `forbidden`.
        rules: Which they are, by their place in the policy.
    """

    unit: str
    place: str
    rows: int
    learned: float
    label: float
    low: float
    high: float
    governed: int = 0
    effects: Sequence[str] = ()
    rules: Sequence[int] = ()

    @property
    def ruled(self) -> str:
        """What the policy does to these rows, in a word; empty where it does nothing."""
        if not self.governed:
            return ""
        alike = self.governed == self.rows and len(self.effects) == 1
        return self.effects[0] if alike else PARTLY

    @property
    def supported(self) -> bool:
        """Whether there are rows enough to say anything."""
        return self.rows >= MIN_ROWS

    @property
    def apart(self) -> bool:
        """Whether what was learned lies outside the label's interval."""
        return self.supported and not self.low <= self.learned <= self.high


@dataclass(frozen=True)
class TransferMap:
    """One source's cells.

    Args:
        source: The source domain.
        units: Those with most support, the ones that carry most first.
        places: Likewise.
        all_units: How many there are in all.
        all_places: How many there are in all.
        cells: By unit and place, `ALL` included; one without rows is absent.
    """

    source: str
    units: tuple[str, ...]
    places: tuple[str, ...]
    all_units: int
    all_places: int
    cells: dict[tuple[str, str], Cell]

    @property
    def whole(self) -> Cell | None:
        """Everything of this source; None where no row shows interest in it."""
        return self.cells.get((ALL, ALL))

    @property
    def table(self) -> list[Cell]:
        """The cells shown that have support, in the map's order."""
        keys = [(u, p) for u in (ALL, *self.units) for p in (ALL, *self.places)]
        return [c for key in keys if (c := self.cells.get(key)) and c.supported]

    def margin(self, of: str) -> list[Cell]:
        """The cells over all places (of `units`) or over all units (of `places`), in order."""
        keys = [(u, ALL) for u in self.units] if of == "units" else [(ALL, p) for p in self.places]
        return [self.cells[key] for key in keys]


def wilson(mean: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (the score interval of Wilson 1927).

    For values between 0 and 1 rather than at either end (label `soft`) it is wider than need be.

    Args:
        mean: The share.
        n: Of how many independent rows; above 0.
    """
    centre = mean + Z95**2 / (2 * n)
    reach = Z95 * math.sqrt(mean * (1 - mean) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    low, high = (centre - reach) / scale, (centre + reach) / scale
    return max(0.0, round(low, 9)), min(1.0, round(high, 9))


def transfer_maps(
    connection: duckdb.DuckDBPyConnection, rows: pa.Table, scorer: Scorer, policy: Policy
) -> list[TransferMap]:
    """Scores rows and says, for each source, what transfers where, and where it is governed.

    Args:
        connection: A DuckDB of one thread, so that means do not depend on who adds first.
        rows: n evaluation rows of the training set.
        scorer: The model, without a policy: what it learned is what is shown.
        policy: Only says where rules act.
    """
    learned = scorer.score(rows).p_transfer
    # A model that lets nothing transfer explicitly has no columns here.
    if not learned.shape[1]:
        return []
    return maps_of(connection, rows, learned, policy(rows), scorer.sources)


def maps_of(
    connection: duckdb.DuckDBPyConnection,
    rows: pa.Table,
    learned: np.ndarray,
    governed: Governed,
    sources: Sequence[str],
) -> list[TransferMap]:
    """Like `transfer_maps`, of p_transfer float64[n, K] and what rules say, there already."""
    names = ["unit", "cell", *(f"{part}_{s}" for part in ("ys", "consistent") for s in sources)]
    scored = rows.select(names)
    for k, source in enumerate(sources):
        parts = {"learned": learned, "effect": governed.effect, "rule": governed.rule}
        for part, values in parts.items():
            scored = scored.append_column(f"{part}_{source}", pa.array(values[:, k]))
    connection.register("scored", scored)
    query = render("transfer_cells", sources=sources)
    columns = connection.sql(query).to_arrow_table().to_pydict().values()
    connection.unregister("scored")
    by_source: dict[str, dict[tuple[str, str], Cell]] = {source: {} for source in sources}
    # A few hundred figures, no longer rows of data.
    for source, unit, place, n, mean, label, *acts in zip(*columns, strict=True):
        cell = Cell(unit or ALL, place or ALL, n, mean, label, *wilson(label, n), *acts)
        by_source[source][cell.unit, cell.place] = cell
    return [_ordered(source, cells) for source, cells in by_source.items()]


def _ordered(source: str, cells: dict[tuple[str, str], Cell]) -> TransferMap:
    units = [c for (unit, place), c in cells.items() if unit != ALL and place == ALL]
    places = [c for (unit, place), c in cells.items() if unit == ALL and place != ALL]
    return TransferMap(
        source,
        tuple(c.unit for c in _most(units, MAX_UNITS)),
        tuple(c.place for c in _most(places, MAX_PLACES)),
        len(units),
        len(places),
        cells,
    )


def _most(cells: list[Cell], limit: int) -> list[Cell]:
    """The best supported ones, those that carry most first; rows and names decide ties."""
    supported = [cell for cell in cells if cell.supported]
    kept = sorted(supported, key=lambda c: (-c.rows, c.unit, c.place))[:limit]
    return sorted(kept, key=lambda c: -round(c.learned, 3))


def gap(maps: Sequence[TransferMap]) -> tuple[float, int]:
    """Mean |learned − label| over the supported cells of single units in single places, by rows.

    Returns:
        The gap (NaN where no cell has support), and over how many cells.
    """
    inner = [c for m in maps for c in m.cells.values() if c.unit and c.place and c.supported]
    if not inner:
        return math.nan, 0
    distance = [abs(c.learned - c.label) for c in inner]
    return float(np.average(distance, weights=[c.rows for c in inner])), len(inner)
