"""A table is built on days that were built; one that was not is no day on which nothing happened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exit_pipeline.errors import LakeError
from exit_pipeline.features.training_set import build_training_set
from exit_pipeline.labels import (
    build_group_consistency,
    build_icl_labels,
    build_impressions,
    build_source_interest,
)
from tests.logs import DAY, SmallLog, at, event

BUILDS = {
    "impressions": build_impressions,
    "source_interest": build_source_interest,
    "group_consistency": build_group_consistency,
    "icl_labels": build_icl_labels,
}
DAYS = 6


@pytest.fixture
def log(tmp_path):
    """Six days that have landed: exposures of five of them are mature."""
    small = SmallLog(tmp_path)
    for day in range(DAYS):
        small.land(day, [event(f"e{day}", at(day))])
    small.ingest(0, DAYS - 1)
    return small


def build(log: SmallLog, table: str, first: int, last: int) -> None:
    days = (DAY + timedelta(days=number) for number in (first, last))
    BUILDS[table](log.connect(), log.lake, log.profile, *days)


def refused(log: SmallLog, table: str, days: tuple[int, int], lacks: str) -> None:
    """The table is not built, and the error says what to build first."""
    before = log.lake.days(table)
    with pytest.raises(LakeError) as found:
        build(log, table, *days)
    assert str(found.value).startswith(f"{lacks} was not built")
    assert f"exit-pipeline run --from {lacks.split()[2]} --select group:labels" in found.value.mend
    assert log.lake.days(table) == before


def test_labels_need_every_day_of_what_they_join(log):
    build(log, "impressions", 0, 4)
    build(log, "source_interest", 1, 4)
    refused(log, "icl_labels", (0, 4), "source_interest of 2026-01-05")
    build(log, "source_interest", 0, 4)
    refused(log, "icl_labels", (0, 4), "group_consistency of 2026-01-07 … 2026-01-09 (3 days)")
    build(log, "group_consistency", 2, 4)  # before the first morning there is nothing to know
    build(log, "icl_labels", 0, 4)
    assert [row["event_id"] for row in log.rows("icl_labels")] == [f"e{n}" for n in range(5)]


def test_own_responses_reach_back_over_days_that_were_built(log):
    build(log, "impressions", 3, 4)
    refused(log, "source_interest", (3, 4), "impressions of 2026-01-05 … 2026-01-07 (3 days)")


def test_one_morning_alone_does_not_take_the_sums_of_none_for_those_of_all(log):
    refused(log, "group_consistency", (4, 4), "group_sums of 2026-01-07 … 2026-01-08 (2 days)")
    refused(log, "group_consistency", (2, 4), "impressions of 2026-01-05 … 2026-01-07 (3 days)")
    build(log, "impressions", 0, 4)
    refused(log, "group_consistency", (2, 4), "source_interest of 2026-01-05 … 2026-01-07 (3 days)")
    build(log, "source_interest", 0, 4)
    build(log, "group_consistency", 2, 3)
    build(log, "group_consistency", 4, 4)


def test_a_log_whose_first_days_never_landed_begins_with_the_first_that_did(tmp_path):
    log = SmallLog(tmp_path)
    for day in range(3, 8):
        log.land(day, [event(f"e{day}", at(day)), event(f"late{day}", at(day - 1))])
    log.ingest(3, 7)
    # As `exit-pipeline run --from` plans it.
    build(log, "impressions", 1, 6)
    build(log, "source_interest", 1, 6)
    build(log, "group_consistency", 3, 8)
    build(log, "icl_labels", 1, 6)
    assert len(log.rows("icl_labels")) == 9


def test_training_rows_need_every_day_of_their_labels(log):
    log.label(0, 3)
    days = DAY, DAY + timedelta(days=4)
    with pytest.raises(LakeError, match="icl_labels of 2026-01-09 was not built"):
        build_training_set(log.connect(), log.lake, log.profile, *days, settings=log.settings)
