"""What checks said of stored days is kept by content, and nothing is built on what they refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exit_pipeline.errors import ValidationError
from exit_pipeline.validation import EXPECTATIONS
from exit_pipeline.validation.run import validate_days
from exit_pipeline.validation.verdicts import failed_days, record, refuse_failed, unfit
from tests.logs import DAY, SmallLog, at, event

CHECK = [("events", EXPECTATIONS)]


@pytest.fixture
def log(tmp_path):
    small = SmallLog(tmp_path)
    for day in (0, 1):
        small.land(day, [event(f"e{day}", at(day))])
    small.ingest(0, 1)
    return small


def day(number):
    return DAY + timedelta(days=number)


def test_a_day_never_checked_is_not_fit(log):
    assert unfit(log.lake, CHECK) == [f"events:{EXPECTATIONS} on {day(0)}, {day(1)}"]


def test_a_day_that_passed_is_fit_until_its_content_changes(log):
    validate_days("events", log.lake, log.profile.spec, log.settings, (day(0), day(1)))
    assert unfit(log.lake, CHECK) == []
    log.land(1, [event("other", at(1))])
    log.ingest(1, 1)
    assert unfit(log.lake, CHECK) == [f"events:{EXPECTATIONS} on {day(1)}"]
    assert failed_days(log.lake, "events", EXPECTATIONS) == []


def test_a_day_that_passed_after_a_failed_one_does_not_hide_it(log):
    states = log.lake.days("events")
    record(log.lake.home, "events", EXPECTATIONS, {day(0): states[day(0)]}, False)
    record(log.lake.home, "events", EXPECTATIONS, {day(1): states[day(1)]}, True)
    assert unfit(log.lake, CHECK) == [f"events:{EXPECTATIONS} on {day(0)}"]
    with pytest.raises(ValidationError, match=f"events of {day(0)} failed"):
        refuse_failed(log.lake, CHECK, day(1))


def test_nothing_is_refused_before_the_day_that_failed(log):
    states = log.lake.days("events")
    record(log.lake.home, "events", EXPECTATIONS, {day(1): states[day(1)]}, False)
    refuse_failed(log.lake, CHECK, day(0))
