"""The training set of first days: columns and types are there before any row is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exit_pipeline.features.build import FEATURE_TABLES, build_features
from exit_pipeline.features.training_set import build_training_set
from tests.logs import DAY, SmallLog, at, event

QUIET = {0: [], 1: [], 2: [], 3: []}


@pytest.mark.parametrize("rows", [[], [event("e", at(1))]], ids=["no exposures", "no interest yet"])
def test_first_days_before_anything_was_shown_or_clicked(tmp_path, rows):
    log = SmallLog(tmp_path)
    log.run(QUIET | {1: rows})
    last = DAY + timedelta(days=2)
    for table in FEATURE_TABLES:
        build_features(log.connect(), log.lake, log.profile, DAY, last, table=table)
    states = build_training_set(
        log.connect(), log.lake, log.profile, DAY, last, settings=log.settings
    )
    assert sum(state.rows for state in states.values()) == len(rows)
    for row in log.rows("training_set"):
        assert row["y"] == 0
        assert (row["search_decayed"], row["search_recency_hours"]) == (0.0, None)
