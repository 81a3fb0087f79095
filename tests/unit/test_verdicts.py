"""What checks said of stored days is kept by content, and nothing is built on what they refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exit_pipeline.errors import LakeError, ValidationError
from exit_pipeline.lake import DayState, Lake
from exit_pipeline.lock import exclusive
from exit_pipeline.validation import BALANCED, EXPECTATIONS, docs
from exit_pipeline.validation.days import validate_days
from exit_pipeline.validation.verdicts import failed_checks, failed_days, record, refuse_failed
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


def unfit_events(log):
    return [
        said for said in failed_checks(log.lake, log.profile.spec) if said.startswith(CHECK[0][0])
    ]


def test_a_day_never_checked_is_not_fit(log):
    assert unfit_events(log)[0] == f"events:{EXPECTATIONS} on {day(0)}, {day(1)}"


def test_a_day_that_passed_is_fit_until_its_content_changes(log):
    record(log.lake.home, "events", BALANCED, log.lake.days("events"), True)
    validate_days("events", log.lake, log.profile.spec, log.settings, (day(0), day(1)))
    assert unfit_events(log) == []
    log.land(1, [event("other", at(1))])
    log.ingest(1, 1)
    assert unfit_events(log)[0] == f"events:{EXPECTATIONS} on {day(1)}"
    assert failed_days(log.lake, "events", EXPECTATIONS, day(0), day(1)) == []


def store(log, **columns):
    """Puts other values into the events of three landed days; each value is an SQL expression."""
    with log.connect() as duck:
        log.lake.view(duck, "events")
        told = ", ".join(f"{value} as {name}" for name, value in columns.items())
        duck.execute(f"create temp table moved as select * replace ({told}) from events")
        log.lake.replace(duck, "events", "moved", [day(0), day(1), day(2)])


@pytest.mark.parametrize(
    ("column", "value", "failed"),
    [
        ("domain", f"case when ds = '{DAY + timedelta(days=1)}' then 'moon' else domain end", [1]),
        ("event_id", "case event_id when 'e2' then 'e0' else event_id end", [0, 1, 2]),
        ("event_id", "case event_id when 'e1' then null when 'e2' then 'e0' else event_id end",
         [0, 1, 2]),
        ("domain", "domain", []),
    ],
    ids=["one day breaks a rule", "two days break it together", "both", "none does"],
)  # fmt: skip
def test_a_range_says_of_each_day_what_is_true_of_it(log, column, value, failed):
    log.land(2, [event("e2", at(2))])
    log.ingest(2, 2)
    store(log, **{column: value})
    report = validate_days("events", log.lake, log.profile.spec, log.settings, (day(0), day(2)))
    assert report.passed == (not failed)
    assert report.failed == [day(n) for n in failed]
    assert failed_days(log.lake, "events", EXPECTATIONS, day(0), day(2)) == report.failed
    named = f" on {', '.join(str(one) for one in report.failed)}"
    assert [one for one in unfit_events(log) if EXPECTATIONS in one] == [
        f"events:{EXPECTATIONS}{named}" for _ in failed[:1]
    ]


def test_a_day_that_passed_after_a_failed_one_does_not_hide_it(log):
    states = log.lake.days("events")
    record(log.lake.home, "events", EXPECTATIONS, {day(0): states[day(0)]}, False)
    record(log.lake.home, "events", EXPECTATIONS, {day(1): states[day(1)]}, True)
    assert unfit_events(log)[0] == f"events:{EXPECTATIONS} on {day(0)}"
    with pytest.raises(ValidationError, match=f"events of {day(0)} failed"):
        refuse_failed(log.lake, CHECK, day(0), day(1))


def test_nothing_is_refused_that_does_not_read_the_day_that_failed(log):
    states = log.lake.days("events")
    record(log.lake.home, "events", EXPECTATIONS, {day(1): states[day(1)]}, False)
    refuse_failed(log.lake, CHECK, day(0), day(0))
    refuse_failed(log.lake, CHECK, day(2), day(9))


def test_what_no_model_is_made_of_any_more_is_not_asked_for(log, monkeypatch):
    spec = log.profile.spec
    newest = day(spec.trained_days + spec.reach_days + 1)
    states = {"training_set": {newest: DayState(0, "")}, "events": log.lake.days("events")}
    monkeypatch.setattr(Lake, "days", lambda lake, table: states.get(table, {}))
    assert unfit_events(log)[0] == f"events:{EXPECTATIONS} on {day(1)}"


def validated(log):
    record(log.lake.home, "events", BALANCED, log.lake.days("events"), True)
    return validate_days("events", log.lake, log.profile.spec, log.settings, (day(0), day(1)))


def test_runs_that_validate_one_table_write_its_docs_one_at_a_time(log, monkeypatch):
    """And where one waits in vain, the verdict holds all the same."""
    monkeypatch.setattr(docs, "LOCK_SECONDS", 0.1)
    lock = log.lake.home.reports / "data_docs" / ".lock"
    with exclusive(lock, 0, LakeError("busy")):
        report = validated(log)
    assert (report.docs, "another run has been writing" in report.undocumented) == ("", True)
    assert unfit_events(log) == []
    report = validated(log)
    assert (report.docs.endswith("events/index.html"), report.undocumented) == (True, "")


def test_a_verdict_is_kept_whose_docs_cannot_be_written(log, monkeypatch):
    def fails(*paths):
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(docs, "_write_index", fails)
    assert "Directory not empty" in validated(log).undocumented
    assert unfit_events(log) == []
