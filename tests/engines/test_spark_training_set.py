"""Spark joins the training set that DuckDB joins, row for row and to the last bit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exit_pipeline.features import FEATURE_TABLES, build_features
from exit_pipeline.features.training_set import build_training_set
from exit_pipeline.settings import Home
from tests.engines.test_spark_features import DAYS, RULES
from tests.engines.test_spark_labels import copy_of
from tests.logs import DAY, PROFILE, SmallLog
from tests.unit.test_labels_oracle import random_log

TTL = "features: {ttl_days: 1, window_days: 3, recent_units: 2}"


@pytest.mark.parametrize("features", ["features: {window_days: 3, recent_units: 2}", TTL])
def test_the_training_set_of_a_random_log_is_equal(spark, tmp_path, features):
    rules = "\n".join(features if line.startswith("features") else line
                      for line in RULES.splitlines())  # fmt: skip
    log = SmallLog(tmp_path / "log", f"{PROFILE}{rules}\n")
    log.run(random_log(4, DAYS, 500, ("search", "channel")))
    first, last = DAY + timedelta(days=3), max(log.lake.days("icl_labels"))
    for table in FEATURE_TABLES:
        build_features(log.connect(), log.lake, log.profile, DAY, last, table=table)
    other = copy_of(log.lake, Home(tmp_path / "other"),
                    ("icl_labels", "impressions", *FEATURE_TABLES))  # fmt: skip
    ours = build_training_set(log.connect(), log.lake, log.profile, first, last,
                              settings=log.settings)  # fmt: skip
    found = build_training_set(spark, other, log.profile, first, last, settings=log.settings)
    assert sum(state.rows for state in ours.values()) > 20
    assert other.columns("training_set") == log.lake.columns("training_set")
    assert found == ours
    assert set(other.inputs) == {"icl_labels", "impressions", *FEATURE_TABLES}
