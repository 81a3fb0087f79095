"""The item side in process is what Feast has online."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exit_pipeline.feast_stores.repo import open_store
from exit_pipeline.ranking.online import materialize_online
from exit_pipeline.ranking.rows import UserReader, online_rows
from exit_pipeline.ranking.snapshot import Snapshot
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


def test_a_group_is_found_by_unit_and_cell(snapshot):
    pairs = list(zip(*(snapshot.groups[k].to_pylist() for k in ("unit", "cell")), strict=True))
    assert pairs
    for row, (unit, cell) in enumerate(pairs):
        assert snapshot.group_rows([unit, "nosuch"], cell, SNAPSHOT).tolist() == [row, len(pairs)]
        assert snapshot.group_rows([unit], "nosuch", SNAPSHOT).tolist() == [len(pairs)]
