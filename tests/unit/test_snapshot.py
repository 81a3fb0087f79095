"""The item side in process is what Feast has online."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from exit_pipeline.feast_stores.repo import open_store
from exit_pipeline.ranking.online import materialize_online
from exit_pipeline.ranking.rows import UserReader, UserRow, cell_of, online_rows
from exit_pipeline.ranking.snapshot import Snapshot
from exit_pipeline.times import since_epoch
from exit_pipeline.validation.suites import EXPECTATIONS
from exit_pipeline.validation.verdicts import record
from tests.logs import SmallLog, at, event
from tests.unit.test_online import SCENE, builds

SNAPSHOT = at(5, "00:00", us=5 * 60_000_000)  # the end of the last day, and the lag
TTL = timedelta(days=30)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    small = SmallLog(tmp_path_factory.mktemp("log"))
    search = {"domain": "search", "item_id": "i3"}
    for day in range(5):
        small.land(day, [event(f"a{day}", at(day)), event(f"b{day}", at(day), user_id="u2"),
                         event(f"s{day}", at(day, "09:00"), "click", **search)])  # fmt: skip
    builds(small, 0, 4)
    materialize_online(small.settings, small.lake, small.profile)
    return small


@pytest.fixture(scope="module")
def snapshot(log):
    return Snapshot.load(log.settings, log.lake, log.profile.spec)


@pytest.mark.parametrize("when", [SNAPSHOT, SNAPSHOT + TTL,
                                  SNAPSHOT + TTL + timedelta(microseconds=1)])  # fmt: skip
@pytest.mark.parametrize("user", ["u1", "nobody"])
@pytest.mark.parametrize("hour_band", ["day", "night"])
def test_rows_are_those_out_of_feast(log, snapshot, when, user, hour_band):
    spec, store = log.profile.spec, open_store(log.settings, log.lake.home)
    scene, items = (
        SCENE | {"hour_band": hour_band},
        [*snapshot.items["item_id"].to_pylist(), "nosuch"],
    )
    known = UserReader(store, spec)(user, when)
    expected, flags = online_rows(store, spec, known, items, scene, when)
    found, told = snapshot.rows(known, items, scene, when)
    assert found.to_pydict() == expected.to_pydict()
    assert told == flags
    shown = found["item_shown"].to_pylist()
    assert (shown[-1], shown[0] is None) == (None, when > SNAPSHOT + TTL)


def test_a_day_that_a_check_refused_is_not_served(log, tmp_path):
    other = log.copy(tmp_path)
    newest = max(other.lake.days("item_features"))
    for view in ("item_features", "scene_features"):
        states = {newest: other.lake.days(view)[newest]}
        record(other.lake.home, view, EXPECTATIONS, states, False)
    held = Snapshot.load(other.settings, other.lake, other.profile.spec)
    assert held.as_of == SNAPSHOT - timedelta(days=1)
    assert max(held.groups["event_us"].to_pylist()) <= since_epoch(held.as_of)


def test_a_unit_without_a_name_is_not_one_that_is_not_known(log, snapshot):
    pairs = snapshot.groups.slice(0, 1)
    nameless = pairs.set_column(0, "unit", pa.array([""]))
    held, cell = Snapshot(log.profile.spec, snapshot.items, nameless), pairs["cell"][0].as_py()
    assert held.group_rows(["", None], cell, SNAPSHOT).tolist() == [0, 1]


def test_a_cell_is_named_in_serving_as_in_the_labels(log):
    by_segment = log.profile.spec.model_copy(update={"group": ["hour_band", "segment"]})
    known = UserRow.unknown(by_segment, "u1", "-")
    assert cell_of(by_segment, SCENE, known) == "day|unknown"
    nameless = replace(known, values=known.values | {"segment": ""})
    assert cell_of(by_segment, SCENE, nameless) == "day|"


def test_a_group_is_found_by_unit_and_cell(snapshot):
    pairs = list(zip(*(snapshot.groups[k].to_pylist() for k in ("unit", "cell")), strict=True))
    assert pairs
    for row, (unit, cell) in enumerate(pairs):
        assert snapshot.group_rows([unit, "nosuch"], cell, SNAPSHOT).tolist() == [row, len(pairs)]
        assert snapshot.group_rows([unit], "nosuch", SNAPSHOT).tolist() == [len(pairs)]
