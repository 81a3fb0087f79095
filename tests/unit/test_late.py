"""Which label days a landing day re-opens, on days that a person can check by eye."""

from __future__ import annotations

from datetime import date

import pytest

from exit_pipeline.labels.late import first_left_behind, first_touched


def january(day: int) -> date:
    return date(2026, 1, day)


# Landing day, first day that its rows belong to, read before → first day touched.
@pytest.mark.parametrize(
    ("day", "oldest", "again", "touched"),
    [
        (20, 20, False, 20),  # nothing late
        (20, 14, False, 14),
        (20, 20, True, 13),  # a late row of a week before may have gone
        (20, 11, True, 11),
    ],
)
def test_the_first_day_that_a_landing_day_touched(day, oldest, again, touched):
    assert first_touched(january(day), january(oldest), 7, again=again) == january(touched)


# An outcome is known a day later, the log starts on the 1st, and conditions follow from the 26th on.
@pytest.mark.parametrize(
    ("day", "touched", "newest", "moved"),
    [
        (28, 28, 29, None),  # outcomes of the 27th, which conditions follow
        (28, 27, 29, 26),  # rows of the day before, which they do not see
        (27, 27, 29, None),
        (26, 26, 29, 25),  # a day that conditions do not look at any more
        (20, 14, 29, 13),
        (3, 1, 29, 1),  # no label is of a day before the start
        (20, 14, 13, 13),
        (20, 14, 12, None),  # not mature
        (20, 14, None, None),
    ],
)
def test_the_first_day_that_is_left_behind(day, touched, newest, moved):
    found = first_left_behind(
        january(day), january(touched),
        horizon_days=1, start=january(1), newest=newest and january(newest), settling=january(26),
    )  # fmt: skip
    assert found == (moved and january(moved))
