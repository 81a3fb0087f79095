"""Vocabularies and quantile bins, learned on training rows alone, and rows turned into arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.errors import ModelFileError
from exit_pipeline.lake.duck import quoted, render
from exit_pipeline.model.inputs import InputSpec

IDS = ("user_id", "item_id")
# Where an impression was shown; an input where the sources' impressions are among the rows.
DOMAIN = "domain"


@dataclass(frozen=True)
class Encoder:
    """Turns columns into arrays, by what training rows held.

    Args:
        spec: The columns.
        vocabularies: By categorical column its known values; index i is encoded as i + 1.
        edges: By numeric column its bin edges, rising.
        unit: The categorical column that holds the interest unit.
    """

    spec: InputSpec
    vocabularies: Mapping[str, Sequence[str]]
    edges: Mapping[str, Sequence[float]]
    unit: str
    _sets: dict[str, pa.Array] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def fit(
        cls,
        connection: duckdb.DuckDBPyConnection,
        files: Sequence[str],
        spec: InputSpec,
        unit: str,
        min_count: int,
        bins: int,
    ) -> Self:
        """Learns vocabularies and quantile edges from training files.

        Args:
            connection: A DuckDB with the limits of the settings.
            files: Parquet files of training rows only.
            spec: The columns.
            unit: The interest unit's column.
            min_count: Ids seen more rarely are unknown; other categories need two rows.
            bins: Number of quantile bins.
        """
        rows = render("_files", files=files, partitions=())
        connection.execute(f"create or replace temp view rows as {rows}")
        words = {
            name: _vocabulary(connection, name, min_count if name in IDS else 2)
            for name in spec.categorical
        }
        edges = {name: _edges(connection, name, bins) for name in spec.numbers}
        return cls(spec, words, edges, unit)

    def encode(self, columns: pa.Table | pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """Encodes n rows.

        Returns:
            int32[n, C] indices (0 unknown) and float32[n, M] numbers (NaN unknown).

        Raises:
            ModelFileError: The rows lack columns that the model reads.
        """
        missing = [name for name in self.spec.columns if name not in columns.schema.names]
        if missing:
            raise ModelFileError(
                f"the model reads columns that the rows do not have: {', '.join(missing)}",
                where="a model trained under an earlier profile",
                mend="bring the columns back, or train a model under this profile; where the "
                "champion is the one of old, `promote --force` replaces it",
            )
        n = columns.num_rows
        categorical = np.zeros((n, len(self.spec.categorical)), np.int32)
        for index, name in enumerate(self.spec.categorical):
            found = pc.index_in(_plain(columns.column(name)).cast(pa.string()), self._values(name))
            categorical[:, index] = np.asarray(pc.fill_null(found, -1)) + 1
        numeric = np.empty((n, len(self.spec.numbers)), np.float32)
        for index, name in enumerate(self.spec.numbers):
            values = _plain(columns.column(name)).cast(pa.float64())
            numeric[:, index] = values.to_numpy(zero_copy_only=False)
        return categorical, numeric

    def sizes(self) -> list[int]:
        """Rows of each embedding table, the unknown's included."""
        return [len(self.vocabularies[name]) + 1 for name in self.spec.categorical]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        return {
            "spec": self.spec.to_dict(),
            "vocabularies": {name: list(words) for name, words in self.vocabularies.items()},
            "edges": {name: list(edges) for name, edges in self.edges.items()},
            "unit": self.unit,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` returned."""
        spec = InputSpec.from_dict(values["spec"])
        return cls(spec, values["vocabularies"], values["edges"], values["unit"])

    def _values(self, name: str) -> pa.Array:
        if name not in self._sets:
            self._sets[name] = pa.array(self.vocabularies[name], pa.string())
        return self._sets[name]


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _vocabulary(connection: duckdb.DuckDBPyConnection, name: str, least: int) -> list[str]:
    query = render("model_vocabulary", column=quoted(name))
    return [value for (value,) in connection.execute(query, {"least": least}).fetchall()]


def _edges(connection: duckdb.DuckDBPyConnection, name: str, bins: int) -> list[float]:
    """Edges of about `bins` bins: values that fill one by themselves, and quantiles of the rest.

    Plain quantiles of a count that is mostly zero would put all others in one bin.
    """
    column = quoted(name)
    query = render("model_common", column=column)
    common = [value for (value,) in connection.execute(query, {"bins": bins}).fetchall()]
    rest = max(bins - len(common), 1)
    shares = [i / rest for i in range(rest + 1)]
    query = render("model_edges", column=column)
    ((found,),) = connection.execute(query, {"shares": shares, "common": common}).fetchall()
    edges = sorted({float(np.float32(edge)) for edge in [*common, *(found or [])]})
    return edges if len(edges) > 1 else [*(edges or [0.0]), (edges or [0.0])[0] + 1.0]
