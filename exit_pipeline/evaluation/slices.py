"""Slices of evaluation rows: where a model may be worse than it looks over all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.model.encoders import Encoder


def slices(rows: pa.Table, encoder: Encoder) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name of each slice and bool[n], which rows are in it.

    `source interest`: some y_s = 1; `nothing carries`: some y_s = 1, but a = 0 for each source
    that it is 1 for; `cold users`, `cold items`: ids that training had not seen often enough; each
    scene.

    Args:
        rows: n rows of the training set.
        encoder: The model's; its vocabularies say what is cold.
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
    scene = rows.column("scene").combine_chunks()
    for value in sorted(pc.unique(scene).to_pylist()):
        yield f"scene {value}", np.asarray(pc.equal(scene, value))
