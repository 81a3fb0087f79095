"""The evaluation part, as much of it as a question needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from exit_pipeline.errors import TrainingError
from exit_pipeline.training.artifact import TrainedModel

KEYS = ("user_id", "item_id", "scene", "y")
ORDER = ("event_timestamp", "event_id")


def read_rows(
    files: Sequence[str], models: Iterable[TrainedModel], also: Iterable[str] = ()
) -> pa.Table:
    """Reads the evaluation part by time and id: what these models read, labels and keys.

    Args:
        files: Parquet files of the evaluation part.
        models: Who is to score them. A column of theirs that the files do not have is left out:
            scoring names it.
        also: More columns, where the files have them.

    Raises:
        TrainingError: There are no rows.
    """
    wanted = {*KEYS, *also}
    for model in models:
        spec = model.encoder.spec
        wanted |= {*spec.columns, model.encoder.unit}
        wanted |= {f"{label}_{s}" for label in ("ys", "consistent") for s in spec.sources}
    if not files:
        raise _nothing()
    stored = ds.dataset(list(files))
    names = [name for name in stored.schema.names if name in wanted]
    rows = stored.to_table([*dict.fromkeys((*names, *ORDER))])
    if rows.num_rows == 0:
        raise _nothing()
    # Users are numbered as they come, and the bootstrap draws by number: files must not decide.
    return rows.sort_by([(name, "ascending") for name in ORDER]).select(names)


def outcomes(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Returns y, float64[n], and users as numbers, int32[n], in the order in which they come."""
    y = np.asarray(rows["y"]).astype(float)
    return y, np.asarray(rows["user_id"].combine_chunks().dictionary_encode().indices)


def spread(rows: pa.Table, most: int) -> pa.Table:
    """Returns at most so many rows, spread evenly over all of them."""
    n = rows.num_rows
    return rows.take(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _nothing() -> TrainingError:
    return TrainingError("the evaluation part has no rows", mend="land more days")
