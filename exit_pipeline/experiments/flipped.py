"""Training rows whose labels of group consistency are partly wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exit_pipeline.experiments.tables import parquet_writer

SEED = 11


def write_flipped(files: Sequence[str], sources: Sequence[str], share: float, out: Path) -> None:
    """Copies rows with a_k turned to 1 − a_k in a share of them, drawn for each source.

    Features and all other labels stay as they are. Draws go by the order of ids: rows of the same
    content are flipped alike, in whatever files they lie.

    Args:
        files: Parquet files of the training part.
        sources: Names of the K sources.
        share: Of the rows, in (0, 1).
        out: The Parquet file; whole or not at all.
    """
    ids = pa.concat_tables([pq.read_table(file, columns=["event_id"]) for file in files])
    order = np.asarray(pc.sort_indices(ids["event_id"]))
    flips = np.empty((len(order), len(sources)), bool)
    flips[order] = np.random.default_rng(SEED).random(flips.shape) < share
    at = 0
    with parquet_writer(out, pq.read_schema(files[0])) as writer:
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches():
                writer.write_batch(_flip(batch, sources, flips[at : at + len(batch)]))
                at += len(batch)


def _flip(batch: pa.RecordBatch, sources: Sequence[str], flips: np.ndarray) -> pa.RecordBatch:
    for k, source in enumerate(sources):
        number = batch.schema.get_field_index(f"consistent_{source}")
        a = batch.column(number)
        wrong = pc.subtract(pa.scalar(1, a.type), a)
        flipped = pc.if_else(pa.array(flips[:, k]), wrong, a)
        batch = batch.set_column(number, batch.schema.field(number), flipped)
    return batch
