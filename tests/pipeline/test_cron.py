"""The schedules of a profile: what Dagster would refuse is refused where the profile is read."""

from __future__ import annotations

import re

import pytest
from dagster._utils.schedules import is_valid_cron_string
from hypothesis import given
from hypothesis import strategies as st

from exit_pipeline.profile.cron import check_cron

NUMBERS = st.integers(0, 70).map(str)
WORDS = st.one_of(NUMBERS, st.sampled_from(["jan", "DEC", "sun", "Fri", "?", "l", "7#2", "h", ""]))
SPANS = st.one_of(st.just("*"), WORDS, st.tuples(WORDS, WORDS).map("-".join))
PARTS = st.one_of(SPANS, st.tuples(SPANS, NUMBERS).map("/".join))
FIELD = st.lists(PARTS, min_size=1, max_size=3).map(",".join)


@given(st.lists(st.one_of(st.just("*"), FIELD), min_size=4, max_size=6).map(" ".join))
def test_dagster_takes_what_is_let_through(text):
    try:
        check_cron(text)
    except ValueError:
        return
    assert is_valid_cron_string(text)


@pytest.mark.parametrize("text", [
    "0 3 * * *", "*/15 0-6 1,15 * *", "5 4 * jan-MAR mon-fri", "0 0 29 2 *", "0 22-23/1 * * 5-7",
    "0 5 * * Fri-Sun", "59 23 31 12 0",
])  # fmt: skip
def test_crons(text):
    assert check_cron(text) == text
    assert is_valid_cron_string(text)


@pytest.mark.parametrize(("text", "words"), [
    ("0 3 * *", "has 4 fields, not five: minute, hour"),
    ("@daily", "has 1 fields"),
    ("60 3 * * *", "'60' is no minute: 0 … 59"),
    ("0 24 * * *", "'24' is no hour: 0 … 23"),
    ("0 3 0 * *", "'0' is no day of the month: 1 … 31"),
    ("0 3 * may-jen *", "'jen' is no month: 1 … 12"),
    ("0 3 * * 8", "'8' is no day of the week: 0 … 7"),
    ("0 9-5 * * *", "9-5 is no hour: it goes backwards"),
    ("*/0 3 * * *", "/0 is no step of a minute: 1 … 60"),
    ("5/15 3 * * *", "'5/15' is no minute: write a number"),
    ("0 3, * * *", "'' is no hour: write a number"),
    ("٣ 3 * * *", "'٣' is no minute"),
    ("0 3 30 2 *", "never comes: no such month has a day 30"),
    ("0 3 31 4,6 *", "never comes: no such month has a day 31"),
])  # fmt: skip
def test_what_is_no_cron(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        check_cron(text)
