"""Spark makes the feature tables that DuckDB makes, row for row and to the last bit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exit_pipeline.features import FEATURE_TABLES, build_features
from exit_pipeline.settings import Home
from tests.engines.test_spark_labels import copy_of
from tests.logs import DAY, PROFILE, SmallLog
from tests.unit.test_labels_oracle import random_log

DAYS = 9
RULES = """
labels: {interest_hours: 36, consistency: {min_support: 1, threshold: 1.1}}
features: {window_days: 3, recent_units: 2}
landing: {broken_share: 0.1}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> SmallLog:
    log = SmallLog(tmp_path_factory.mktemp("log"), PROFILE + RULES)
    log.run(random_log(4, DAYS, 500, ("search", "channel")))
    return log


@pytest.mark.parametrize("table", FEATURE_TABLES)
def test_feature_tables_of_a_random_log_are_equal(spark, log, tmp_path, table):
    # Not from the log's first day on: states that older events left are carried on.
    first, last = DAY + timedelta(days=3), DAY + timedelta(days=DAYS - 3)
    needed = ("events", "items", "users", "group_consistency")
    other = copy_of(log.lake, Home(tmp_path / "other"), needed)
    build_features(log.connect(), log.lake, log.profile, first, last, table=table)
    build_features(spark, other, log.profile, first, last, table=table)
    assert sum(state.rows for state in other.days(table).values()) > 20
    assert other.columns(table) == log.lake.columns(table)
    assert other.days(table) == log.lake.days(table)
