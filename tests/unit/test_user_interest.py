"""The user's interest state: one row per change, and never two at one moment."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from exit_pipeline.features.build import build_features
from exit_pipeline.features.history import InterestHistory
from exit_pipeline.serving.events import event_schema
from tests.logs import DAY, PROFILE, SmallLog, at, event


def test_late_rows_and_an_event_at_midnight_are_two_moments(tmp_path):
    log = SmallLog(tmp_path)
    log.land(0, [])
    log.land(1, [event("late", at(0), "click", domain="search", item_id="i1")])
    log.land(2, [event("midnight", at(2, "00:00"), "click", domain="search", item_id="i3")])
    log.ingest(0, 2)
    last = DAY + timedelta(days=2)
    build_features(log.connect(), log.lake, log.profile, DAY, last, table="user_interest")
    states = sorted(log.rows("user_interest"), key=lambda row: row["event_timestamp"])
    lag = timedelta(minutes=log.profile.spec.features.availability_lag_minutes)
    assert [(row["ds"], row["event_timestamp"] - lag, row["search_units"]) for row in states] == [
        (DAY + timedelta(days=1), at(2, us=-1) - timedelta(hours=12), ["c1"]),
        (DAY + timedelta(days=2), at(2, "00:00"), ["c2", "c1"]),
    ]


def test_a_domain_may_be_called_as_a_table_or_a_column_of_the_query_is(tmp_path):
    log = SmallLog(tmp_path, PROFILE.replace("[search, channel]", "[m, unit]"))
    log.run({
        0: [event("s", at(0), "click", domain="m"), event("e", at(0, "13:00"))],
        1: [],
        2: [],
        3: [event("t", at(3), "click", domain="unit")],
    })  # fmt: skip
    for table, last in (("user_interest", 3), ("scene_features", 1)):
        day = DAY + timedelta(days=last)
        build_features(log.connect(), log.lake, log.profile, DAY, day, table=table)
    newest = max(log.rows("user_interest"), key=lambda row: row["state_us"])
    assert (newest["m_units"], newest["unit_units"]) == (["c1"], ["c1"])


@pytest.mark.parametrize(("day", "units"), [(10, {"c1", "c2"}), (3, {"c1"})])
def test_a_pushed_id_that_landed_long_ago_is_another_event(tmp_path, day, units):
    """Within the lateness horizon it would be a repeat, which counts as it landed."""
    log = SmallLog(tmp_path)
    log.run({n: [] for n in range(10)} | {0: [event("e", at(0), "click", domain="search")]})
    form, today = event_schema(log.profile.spec), at(day).date()
    history = InterestHistory(log.settings, log.lake, log.profile.spec, form, today)
    pushed = event("e", at(day), "click", domain="search", item_id="i3")
    rows = [{name: pushed.get(name) for name in form.names}]
    history.add(pa.Table.from_pylist(rows, form), today)
    history.add(pa.Table.from_pylist([rows[0] | {"event_id": "f", "item_id": "i1"}], form), today)
    (state,) = history.due(at(day, "13:00")).to_pylist()
    assert set(state["search_units"]) == units
