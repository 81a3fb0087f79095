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
    """Copies rows with a_k turned to 1 − a_k in a share of the groups, drawn for each source.

    A label that is wrong is so for all of its group: drawn row by row it would average out.
    Features and all other labels stay as they are. Draws go by the order of groups: rows of the
    same content are flipped alike, in whatever files they lie.

    Args:
        files: Parquet files of the training part.
        sources: Names of the K sources.
        share: Of the groups, in (0, 1).
        out: The Parquet file; whole or not at all.
    """
    groups = pa.concat_tables([pq.read_table(file, columns=["unit", "cell"]) for file in files])
    names = pc.binary_join_element_wise(*groups.columns, "|", null_handling="replace")
    known, group = np.unique(names.to_numpy(), return_inverse=True)
    drawn = np.random.default_rng(SEED).random((len(known), len(sources))) < share
    flips = drawn[group]
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
