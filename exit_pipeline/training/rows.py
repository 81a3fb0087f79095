"""Encoded rows of a part on disk, and shuffled batches of them: memory does not grow with rows."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import duckdb
import numpy as np
import pyarrow.parquet as pq
import torch

from exit_pipeline.errors import TrainingError
from exit_pipeline.lake import render
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import Batch
from exit_pipeline.training.team import ALONE, Team

BATCH_ROWS = 65_536
STRETCH = 512
SOURCE_LABELS = {"ahead": "ahead", "before": "ys", "graded": "graded"}
# By label, the column of the training set; then those that each source has.
ROW_LABELS = {"y": "y", "click": "y_click", "order": "y_order", "icl": "icl"}
LABELS_BY_SOURCE = ("source", "shown", "consistent")


@dataclass(frozen=True)
class EncodedRows:
    """n rows in three memory-mapped arrays: int32[n, C], float32[n, M], float32[n, L].

    Where each label stands, `label_places` says.
    """

    categorical: np.ndarray
    numeric: np.ndarray
    labels: np.ndarray
    sources: int

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def open(cls, folder: Path, part: str, sources: int) -> Self:
        """Maps the arrays that `encode_files` wrote, to be read alone."""
        names = ("categorical", "numeric", "labels")
        arrays = {n: np.load(folder / f"{part}-{n}.npy", mmap_mode="r") for n in names}
        return cls(**arrays, sources=sources)

    def part(self, place: slice) -> EncodedRows:
        """Returns some rows, not copied."""
        return EncodedRows(
            self.categorical[place], self.numeric[place], self.labels[place], self.sources
        )

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields batches in order."""
        for start in range(0, len(self), size):
            part = self._copied(slice(start, start + size))
            yield part.take(np.arange(len(part)))

    def shuffled(
        self, size: int, buffer: int, seed: int, epoch: int, team: Team = ALONE
    ) -> Iterator[Batch]:
        """Yields ⌈n / size⌉ batches in an order that seed and epoch decide.

        Stretches of `STRETCH` rows come in random order; `buffer` rows of them are at hand and
        shuffled at a time. The disk is read in stretches, and each batch has rows of all times:
        rows lie by time, and a net learns best what it saw last. Processes of a team make the same
        order, and read and get their part of each batch alone.
        """
        rng, n = np.random.default_rng([seed, epoch]), len(self)
        starts = rng.permutation(np.arange(0, n, STRETCH))
        at_hand, waiting = max(buffer // STRETCH, 1), np.empty(0, np.int64)
        for first in range(0, len(starts), at_hand):
            stretches = [np.arange(s, min(s + STRETCH, n)) for s in starts[first : first + at_hand]]
            block = np.concatenate(stretches)
            waiting = np.concatenate([waiting, block[rng.permutation(len(block))]])
            last = first + at_hand >= len(starts)
            # What is no whole batch waits for the next block.
            whole = len(waiting) - (0 if last else len(waiting) % size)
            batches = [waiting[at : at + size] for at in range(0, whole, size)]
            waiting = waiting[whole:]
            yield from self._at([team.of(rows) for rows in batches])

    def _at(self, batches: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Yields batches of rows by their numbers, which are read in the order they lie in."""
        if not batches:
            return
        ends = np.cumsum([len(rows) for rows in batches])
        order = np.argsort(wanted := np.concatenate(batches))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        block = self._copied(wanted[order])
        for begin, end in zip([0, *ends], ends, strict=False):
            yield block.take(place[begin:end])

    def _copied(self, rows: np.ndarray | slice) -> EncodedRows:
        """Copies rows into memory; the pages that they were mapped to are given back."""

        def copied(array: np.ndarray) -> np.ndarray:
            found = np.array(array[rows])
            give_back([array])  # each by itself: the system maps more than was asked for
            return found

        return EncodedRows(
            copied(self.categorical), copied(self.numeric), copied(self.labels), self.sources
        )

    def take(self, rows: np.ndarray) -> Batch:
        """Returns a batch of some rows."""
        labels, places = torch.from_numpy(self.labels[rows]), label_places(self.sources)
        return Batch(
            torch.from_numpy(self.categorical[rows].astype(np.int64)),
            torch.from_numpy(self.numeric[rows]),
            torch.zeros(len(labels), self.sources, dtype=torch.bool),
            {name: labels[:, place] for name, place in places.items()},
        )


def label_places(sources: int) -> dict[str, int | slice]:
    """Returns where each label stands: those of a row, then what each of the sources has.

    Those are what source heads predict (`source`), y_s (`shown`) and a (`consistent`).
    """
    first = len(ROW_LABELS)
    by_source = {
        name: slice(first + i * sources, first + (i + 1) * sources)
        for i, name in enumerate(LABELS_BY_SOURCE)
    }
    return {**{name: i for i, name in enumerate(ROW_LABELS)}, **by_source}


def encode_files(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[str],
    encoder: Encoder,
    source_label: str,
    folder: Path,
    part: str,
) -> EncodedRows:
    """Encodes Parquet files once, batch by batch, into memory-mapped arrays.

    Rows come by time and id: a table of the same content may lie in other files and in another
    order, and gives the same model.

    Args:
        connection: A DuckDB with the limits of the settings; it sorts.
        files: Of one part of the split.
        encoder: Fitted on training rows.
        source_label: What source heads predict: a key of `SOURCE_LABELS`.
        folder: Scratch space.
        part: Names the arrays.

    Raises:
        TrainingError: The part has no rows, or one class only.
    """
    n = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    sources = encoder.spec.sources
    if n == 0:
        raise TrainingError(f"the {part} part has no rows", mend="land more days")
    shape = {
        "categorical": (np.int32, len(encoder.spec.categorical)),
        "numeric": (np.float32, len(encoder.spec.numbers)),
        "labels": (np.float32, 4 + 3 * len(sources)),
    }
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{part}-{name}.npy", mode="w+", dtype=kind, shape=(n, width)
        )
        for name, (kind, width) in shape.items()
    }
    labels = _label_columns(sources, source_label)
    graded = sources if source_label == "graded" else ()
    made = {f"graded_{s}" for s in graded}
    sql = render(
        "training_rows",
        columns=[n for n in dict.fromkeys([*encoder.spec.columns, *labels]) if n not in made],
        rows=render("_files", files=files, partitions=()),
        graded=graded,
    )
    at = 0
    for batch in connection.sql(sql).to_arrow_reader(BATCH_ROWS):
        rows = slice(at, at + batch.num_rows)
        arrays["categorical"][rows], arrays["numeric"][rows] = encoder.encode(batch)
        values = [batch.column(name).to_numpy(zero_copy_only=False) for name in labels]
        arrays["labels"][rows] = np.stack(values, axis=1)
        at += batch.num_rows
        give_back(arrays.values())
    positives = arrays["labels"][:, 0].mean()
    give_back(arrays.values())
    if positives in (0.0, 1.0):
        raise TrainingError(
            f"the {part} part has one class only: every outcome is {positives:.0f}",
            mend="widen the part in `split`, or check that outcomes are logged",
        )
    return EncodedRows(**arrays, sources=len(sources))


def give_back(arrays: Iterable[np.ndarray]) -> None:
    """Lets the system drop mapped pages from this process; they stay on disk and in its cache."""
    for array in arrays:
        held: object = array
        while isinstance(held, np.ndarray):  # a view's base is an array that is mapped
            held = held.base
        if isinstance(held, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            held.madvise(mmap.MADV_DONTNEED)


def _label_columns(sources: Sequence[str], source_label: str) -> list[str]:
    parts = (SOURCE_LABELS[source_label], "ys", "consistent")  # as LABELS_BY_SOURCE
    by_source = [f"{part}_{s}" for part in parts for s in sources]
    return [*ROW_LABELS.values(), *by_source]
