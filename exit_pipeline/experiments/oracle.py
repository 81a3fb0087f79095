"""The planted chance as a contender: the best that anyone could do on a simulated world."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exit_pipeline.errors import UsageError
from exit_pipeline.experiments.worlds import World

ORACLE = "oracle"


@dataclass(frozen=True)
class Oracle:
    """What is true of each row, by its id. A mark to measure against, no model: it learns nothing.

    Args:
        event_id: string[n], of the log's exposures and the A/B test's candidates.
        chance: float64[n], the planted chance of a click.
    """

    event_id: pa.Array
    chance: np.ndarray
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, world: World) -> Oracle:
        """Reads a world's truth.

        Raises:
            UsageError: The world is real: nobody knows its chances.
        """
        question = world.question
        if question is None:
            raise UsageError("nothing is planted in a real world", where=world.spec.name)
        truth = pq.read_table(world.log / "truth" / "exposures", columns=["event_id", "p_click"])
        ids = (truth["event_id"], question.rows["event_id"])
        return cls(
            pa.concat_arrays([part.combine_chunks() for part in ids]),
            np.concatenate([np.asarray(truth["p_click"]), question.chance]),
        )

    def score(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """See `Fitted.score`."""
        at = pc.index_in(rows["event_id"].combine_chunks(), self.event_id)
        return {"score": self.chance[np.asarray(at)]}
