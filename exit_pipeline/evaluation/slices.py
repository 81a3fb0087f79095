"""Slices of evaluation rows: where a model may be worse than it looks over all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.model.encoders import Encoder


def slices(
    rows: pa.Table, encoder: Encoder, segment: str | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name of each slice and bool[n], which rows are in it.

    `source interest`: some y_s = 1; `nothing carries`: some y_s = 1, but a = 0 for each source
    that it is 1 for; `cold users`, `cold items`: ids that training had not seen often enough; each
    scene; each segment of users.

    Args:
        rows: n rows of the training set.
        encoder: The model's; its vocabularies say what is cold.
        segment: The user attribute that segments are of, if any; rows of an earlier profile may
            not have it.
    """
    shown, carries = np.zeros(rows.num_rows, bool), np.zeros(rows.num_rows, bool)
    for source in encoder.spec.sources:
        interest = np.asarray(rows.column(f"ys_{source}")) > 0
        shown |= interest
        carries |= interest & (np.asarray(rows.column(f"consistent_{source}")) > 0)
    yield "source interest", shown
    yield "nothing carries", shown & ~carries
    for name, column in (("cold users", "user_id"), ("cold items", "item_id")):
        known = pa.array(encoder.vocabularies[column], pa.string())
        yield name, ~np.asarray(pc.is_in(rows.column(column), known))
    yield from _each("scene", rows.column("scene"))
    if segment in rows.column_names:
        yield from _each("segment", rows.column(segment))


def _each(name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, np.ndarray]]:
    """A slice for each value; what is not known is in none."""
    column = column.combine_chunks().cast(pa.string())
    for value in sorted(pc.unique(column.drop_null()).to_pylist()):
        yield f"{name} {value}", np.asarray(pc.fill_null(pc.equal(column, value), False))
