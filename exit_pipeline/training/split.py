"""The split by time: train | gap | validation | gap | calibration | gap | evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from exit_pipeline.errors import TrainingError
from exit_pipeline.profile.learning import SplitSpec

PARTS = ("train", "validation", "calibration", "evaluation")


@dataclass(frozen=True)
class Split:
    """The days of each part, with gaps between them in which no row is used."""

    train: tuple[date, ...]
    validation: tuple[date, ...]
    calibration: tuple[date, ...]
    evaluation: tuple[date, ...]

    def to_dict(self) -> dict[str, list[str]]:
        """First and last day of each part, JSON-able."""
        return {part: [str(days[0]), str(days[-1])] for part, days in self.days().items()}

    def days(self) -> dict[str, tuple[date, ...]]:
        """The days of each part, by its name."""
        return {part: getattr(self, part) for part in PARTS}


def split_days(days: Sequence[date], spec: SplitSpec, gap_days: int) -> Split:
    """Splits mature label days, counted back from the newest.

    Args:
        days: Days of the training set; a missing day stays missing.
        spec: How many days each part has.
        gap_days: Days between parts: at least the label horizon, so that no label of one part is
            made of what happens in the next.

    Returns:
        The days of each part; training takes what is left, at most `train_days`.

    Raises:
        TrainingError: There are too few days for every part to have one.
    """
    present, parts = set(days), {}
    last = max(days, default=None)
    for part in ("evaluation", "calibration", "validation", "train"):
        length = getattr(spec, f"{part}_days")
        if last is not None:
            wanted = [last - timedelta(days=n) for n in reversed(range(length))]
            parts[part] = tuple(day for day in wanted if day in present)
            last = wanted[0] - timedelta(days=1 + gap_days)
        if not parts.get(part):
            needed = (
                spec.evaluation_days + spec.calibration_days + spec.validation_days + 3 * gap_days
            )
            raise TrainingError(
                f"{len(present)} mature days leave none for the {part} part",
                where=f"{min(present)} … {max(present)}" if present else "training_set",
                mend=f"at least {needed + 1} days are needed; land more, or shorten `split`",
            )
    return Split(**parts)
