"""Population stability index of a model's inputs: a day against the days it was trained on."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from exit_pipeline.lake import render
from exit_pipeline.lake.paths import hive_value
from exit_pipeline.model.encoders import IDS, Encoder

EDGES, WORDS = 10, 20  # of a column, at most
WEEK = 7
OTHER, NONE = "(other)", "(none)"
Counts = Mapping[str, int]


def psi(expected: Counts, actual: Counts) -> float:
    """Population stability index, Σ (a − e) · ln(a ÷ e) over the bins of both.

    The formula is the one of credit scoring (Siddiqi 2006). Half a row is added to each bin (ours),
    so that an empty one says much and not everything.

    Args:
        expected: Rows by bin, then.
        actual: Rows by bin, now.
    """
    bins = expected.keys() | actual.keys()
    e, a = (
        {one: (rows.get(one, 0) + 0.5) / (sum(rows.values()) + 0.5 * len(bins)) for one in bins}
        for rows in (expected, actual)
    )
    return sum((a[one] - e[one]) * math.log(a[one] / e[one]) for one in sorted(bins))


@dataclass(frozen=True)
class Reference:
    """How the inputs of a model were spread over its training rows.

    Args:
        edges: By numeric column, rising; some of the encoder's.
        counts: By column, rows by bin: a category's most frequent values, `(other)`, `(none)`.
        own: By column, the largest index of a day in training's last week against all of it. A
            calendar, and a count that grows with the log, are far from it on any day.
    """

    edges: Mapping[str, Sequence[float]]
    counts: Mapping[str, Counts]
    own: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, connection: duckdb.DuckDBPyConnection, files: Sequence[str], encoder: Encoder
    ) -> Self:
        """Counts training rows.

        Ids are left out: new ones are no drift.

        Args:
            connection: A DuckDB with the limits of the settings.
            files: Parquet files of training rows, in folders by day.
            encoder: Of the model that was trained on them.
        """
        edges = {name: _thinned(encoder.edges[name]) for name in encoder.spec.numbers}
        words = {name: None for name in encoder.spec.categorical if name not in IDS}
        found = _histogram(connection, files, edges, words)
        counts: dict[str, dict[str, int]] = {}
        for one in found.group_by(["name", "bin"]).aggregate([("rows", "sum")]).to_pylist():
            counts.setdefault(one["name"], {})[one["bin"]] = one["rows_sum"]
        whole = cls(
            edges, {n: rows if n in edges else _frequent(rows) for n, rows in counts.items()}
        )
        week = sorted({_day(file) for file in files})[-WEEK:]
        newest = [file for file in files if _day(file) in week]
        days = whole.of_days(connection, newest).values()
        return replace(whole, own={name: max(told[name] for _, told in days) for name in counts})

    def within(self, columns: Container[str]) -> Self:
        """Returns what it says of some columns; what it says of others is left out."""
        return replace(
            self,
            edges={name: edges for name, edges in self.edges.items() if name in columns},
            counts={name: rows for name, rows in self.counts.items() if name in columns},
            own={name: index for name, index in self.own.items() if name in columns},
        )

    def of_days(
        self, connection: duckdb.DuckDBPyConnection, files: Sequence[str]
    ) -> dict[date, tuple[int, dict[str, float]]]:
        """Returns of each day its rows and, by column, how far they are from the reference.

        Args:
            connection: A DuckDB with the limits of the settings.
            files: Parquet files with the reference's columns, in folders by day; none has no day.
        """
        if not files or not self.counts:
            return {}
        words = {
            name: sorted(rows.keys() - {OTHER, NONE})
            for name, rows in self.counts.items()
            if name not in self.edges
        }
        by_day: dict[date, dict[str, dict[str, int]]] = {}
        for one in _histogram(connection, files, self.edges, words).to_pylist():
            bins = by_day.setdefault(one["ds"], {}).setdefault(one["name"], {})
            bins[one["bin"]] = one["rows"]
        return {
            day: (
                max(sum(bins.values()) for bins in columns.values()),
                {name: psi(self.counts[name], bins) for name, bins in columns.items()},
            )
            for day, columns in by_day.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` returned."""
        return cls(**values)


def _histogram(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[str],
    edges: Mapping[str, Sequence[float]],
    words: Mapping[str, Sequence[str] | None],
) -> pa.Table:
    """Rows by `ds`, `name` and `bin`; a category without words has a bin for every value."""
    rows = render("_files", files=files, partitions=("ds",))
    connection.execute(f"create or replace temp view rows as {rows}")
    sql = render("feature_histogram", numbers=list(edges), categories=list(words))
    bound = {"edges": [list(e) for e in edges.values()], "words": list(words.values())}
    used = {name: values for name, values in bound.items() if f"${name}::" in sql}
    return connection.sql(sql, params=used).to_arrow_table()


def _day(file: str) -> str:
    return str(hive_value(file, "ds"))


def _thinned(edges: Sequence[float]) -> list[float]:
    at = np.unique(np.linspace(0, len(edges) - 1, EDGES).round().astype(int))
    return [float(edges[i]) for i in at]


def _frequent(counts: Counts) -> dict[str, int]:
    """The most frequent values and what is missing; all others are one bin."""
    words = sorted(counts.keys() - {NONE, OTHER}, key=lambda word: (-counts[word], word))[:WORDS]
    kept = {word: counts[word] for word in [*words, NONE] if word in counts}
    rest = sum(counts.values()) - sum(kept.values())
    return {**kept, OTHER: rest} if rest else kept
