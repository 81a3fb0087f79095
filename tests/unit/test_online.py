"""What is online follows what was rebuilt, and is no older than training would let it be."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pydantic import SecretStr

from exit_pipeline.errors import LakeError, ValidationError
from exit_pipeline.feast_stores.online import rebuilding
from exit_pipeline.feast_stores.online_redis import client_of
from exit_pipeline.feast_stores.repo import apply, online_identity
from exit_pipeline.features import build_features
from exit_pipeline.ranking import online as module
from exit_pipeline.ranking.online import VIEWS, materialize_online
from exit_pipeline.ranking.rows import UserReader, online_rows
from exit_pipeline.validation.suites import EXPECTATIONS
from exit_pipeline.validation.verdicts import record
from tests.logs import PROFILE, SmallLog, at, event

SCENE = {"hour_band": "day", "day_kind": "weekday", "place": "home"}
NOON = {"user_id": "u1", "domain": "search"}


def builds(log: SmallLog, first: int, last: int) -> None:
    log.ingest(first, last)
    log.label(first, last - 1)
    for view in VIEWS:
        days = date(2026, 1, 5 + first), date(2026, 1, 5 + last)
        build_features(log.connect(), log.lake, log.profile, *days, table=view)


def online(log: SmallLog) -> dict[str, int]:
    report = materialize_online(log.settings, log.lake, log.profile)
    return {view: told["rows"] for view, told in report.items()}


def ask(log: SmallLog, user: str, when, items=("i1",)):
    from exit_pipeline.feast_stores.repo import open_store

    store, spec = open_store(log.settings, log.lake.home), log.profile.spec
    return online_rows(store, spec, UserReader(store, spec)(user, when), list(items), SCENE, when)


def lose(log: SmallLog) -> None:
    """Takes away all that is online."""
    if log.settings.redis:
        client_of(log.settings.redis.get_secret_value()).flushall()
    for file in log.lake.home.feast.glob("online.db*"):
        file.unlink()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    small = SmallLog(tmp_path_factory.mktemp("log"))
    small.land(0, [event("a", at(0)), event("b", at(0), user_id="u2"),
                   event("s", at(0, "09:00"), "click", **NOON)])  # fmt: skip
    small.land(1, [event("c", at(1)), event("d", at(1), user_id="u3"),
                   event("t", at(1, "20:00"), "click", item_id="i3", **NOON)])  # fmt: skip
    small.land(2, [event("e", at(2)), event("z", at(2, "20:00"), "click", item_id="i5", **NOON)])
    builds(small, 0, 2)
    return small


@pytest.fixture
def log(built, tmp_path, kept_in):
    small = built.copy(tmp_path)
    small.settings = small.settings.model_copy(update=kept_in)
    return small


def test_a_rebuilt_day_reaches_the_online_store(log):
    assert online(log)["user_features"] == 18
    assert online(log) == dict.fromkeys(VIEWS, 0)
    rows, _ = ask(log, "u1", at(3))
    assert (rows["user_shown"].to_pylist(), rows["search_units"].to_pylist()) == (
        [3], [["c3", "c2", "c1"]])  # fmt: skip
    # The last day lands again: u1 saw two items, and was after nothing at 20:00.
    log.land(2, [event("e", at(2)), event("f", at(2, "13:00"), item_id="i2")])
    builds(log, 2, 2)
    assert online(log)["user_interest"] == 0
    rows, _ = ask(log, "u1", at(3))
    assert (rows["user_shown"].to_pylist(), rows["search_units"].to_pylist()) == (
        [4], [["c2", "c1"]])  # fmt: skip
    assert ask(log, "u2", at(3))[0]["user_shown"].to_pylist() == [1]
    assert online(log) == dict.fromkeys(VIEWS, 0)


def test_a_service_is_told_once_when_every_view_is_online_and_a_run_that_died_goes_on(
    log, monkeypatch
):
    online(log)
    told, real = log.lake.home.feast / "online_days.json", module._bring
    before = told.read_text("utf-8")
    log.land(2, [event("e", at(2)), event("f", at(2, "13:00"), item_id="i2")])
    builds(log, 2, 2)

    def dies(settings, lake, store, view, *more):
        if view == "user_interest":
            raise OSError("the store went away")
        return real(settings, lake, store, view, *more)

    with monkeypatch.context() as away:
        away.setattr(module, "_bring", dies)
        with pytest.raises(OSError, match="went away"):
            online(log)
    assert told.read_text("utf-8") == before
    again = module.materialize_online(log.settings, log.lake, log.profile)
    assert again["user_features"]["rows"] == 0
    assert ask(log, "u1", at(3))[0]["search_units"].to_pylist() == [["c2", "c1"]]
    after = told.read_text("utf-8")
    assert after != before
    online(log)
    assert told.read_text("utf-8") == after


def test_the_newest_event_time_wins_whoever_writes_last(log):
    store = apply(log.settings, log.lake.home, log.profile)
    view, online_store = store.get_feature_view("item_features"), store._get_provider().online_store
    key = EntityKey(join_keys=["item_id"], entity_values=[Value(string_val="i1")])

    def write(category: str, when, created) -> str:
        row = (key, {"category": Value(string_val=category)}, when, created)
        online_store.online_write_batch(store.config, view, [row], None)
        found, values = online_store.online_read(store.config, view, [key], ["category"])[0]
        return values["category"].string_val, found

    noon, later = at(1, us=1), at(1, us=2)
    assert write("first", noon, at(2)) == ("first", noon)
    assert write("later", later, at(2)) == ("later", later)
    assert write("older", noon, at(3)) == ("later", later)
    assert write("made before", later, at(1)) == ("later", later)
    assert write("made again", later, at(2)) == ("made again", later)
    with rebuilding(later, later):
        assert write("rebuilt", noon, at(2)) == ("rebuilt", noon)
    with rebuilding(at(0), at(1)):
        assert write("before", at(0), at(4)) == ("rebuilt", noon)


def test_a_group_of_no_columns_is_everyone_offline_and_online(tmp_path):
    whole = re.sub(r"(?m)^group: .*$", "group: []", PROFILE)
    small = SmallLog(tmp_path, whole)
    small.land(0, [event("a", at(0)), event("b", at(0, "20:00"), user_id="u2", place="work")])
    for day in (1, 2, 3):
        small.land(day, [event(f"c{day}", at(day))])
    builds(small, 0, 3)
    assert {row["cell"] for row in small.rows("impressions")} == {""}
    online(small)
    rows, _ = ask(small, "u1", at(4))
    assert rows["group_shown"].to_pylist() == [2]  # of the first day, which alone is mature


def test_a_store_that_is_another_than_it_was_is_filled_again(log):
    """As a Redis is that came back from an older snapshot: its mark is the same, its start not."""
    before = online(log)
    assert online(log) == dict.fromkeys(VIEWS, 0)
    held = log.lake.home.feast / "online_days_store.json"
    assert held.read_text() == online_identity(log.settings, log.lake.home)
    if log.settings.redis:
        server = client_of(log.settings.redis.get_secret_value()).info("server")
        assert server["run_id"] in held.read_text()
    held.write_text("another start")
    assert online(log) == before


def test_a_day_that_was_refused_does_not_go_online_by_itself(log):
    states = log.lake.days("user_interest")
    day = max(states)
    for passed in (True, False):
        record(log.lake.home, "user_interest", EXPECTATIONS, {day: states[day]}, passed)
    with pytest.raises(ValidationError, match=f"user_interest of {day} failed"):
        online(log)
    assert not log.lake.home.online_days.exists()


def test_a_lost_online_store_is_filled_again(log):
    before = online(log)
    lose(log)
    assert online(log) == before
    assert ask(log, "u1", at(3))[0]["user_shown"].to_pylist() == [3]


def test_the_ttl_holds_online_to_the_microsecond(log):
    online(log)
    snapshot = at(3, "00:00", us=5 * 60_000_000)  # the end of the last day, and the lag
    ttl = timedelta(days=30)
    rows, flags = ask(log, "u1", snapshot + ttl)
    assert rows["user_shown"].to_pylist() == [3]
    assert rows["category"].to_pylist() == ["c1"]
    # The state of interest is of 20:00 of that day.
    assert flags == ["features of this user are older than 30 days: defaults are used"]
    assert rows["search_units"].to_pylist() == [None]
    rows, flags = ask(log, "u1", snapshot + ttl + timedelta(microseconds=1), ["i1", "nosuch"])
    assert rows["user_shown"].to_pylist() == [None, None]
    assert rows["unit"].to_pylist() == [None, None]
    assert flags == ["features of this user are older than 30 days: defaults are used",
                     "1 unknown items: defaults are used",
                     "features of 1 items are older than 30 days: defaults are used"]  # fmt: skip
    _, flags = ask(log, "nobody", snapshot)
    assert flags == ["unknown user: defaults are used"]


@pytest.mark.parametrize("user", ["u1", "u3", "nobody"])
def test_a_user_is_who_feast_says(log, user):
    from exit_pipeline.feast_stores.repo import open_store

    online(log)
    store = open_store(log.settings, log.lake.home)
    known = UserReader(store, log.profile.spec)(user, at(3)).values
    views = [store.get_feature_view(name) for name in ("user_features", "user_interest")]
    features = [f"{v.name}:{f.name}" for v in views for f in v.features if f.name in known]
    told = store.get_online_features(features=features, entity_rows=[{"user_id": user}]).to_dict()
    assert known == {name: values[0] for name, values in told.items() if name != "user_id"}
    assert (known["search_units"] is None) == (user != "u1")


def test_nothing_of_a_person_is_left_in_redis(tmp_path, redis):
    redis.empty()
    log = SmallLog(tmp_path)
    log.settings = log.settings.model_copy(update={"redis": SecretStr(redis.address)})
    for day in (0, 1):
        log.land(day, [event(f"a{day}", at(day)), event(f"b{day}", at(day), user_id="u2")])
    builds(log, 0, 1)
    online(log)
    store, client = apply(log.settings, log.lake.home, log.profile), client_of(redis.address)
    views = [view for view in store.list_feature_views() if view.entities == ["user"]]
    key = EntityKey(join_keys=["user_id"], entity_values=[Value(string_val="u1")])
    online_store = store._get_provider().online_store
    before = client.dbsize()
    assert online_store.remove_entity(store.config, views, key) > 1
    assert online_store.remove_entity(store.config, views, key) == 0
    assert client.dbsize() == before - 1
    assert ask(log, "u1", at(2))[1] == ["unknown user: defaults are used"]
    assert ask(log, "u2", at(2))[0]["user_shown"].to_pylist() == [2]


def test_a_redis_is_of_one_profile(tmp_path, redis):
    redis.empty()
    for name in ("small", "other"):
        log = SmallLog(tmp_path / name, PROFILE.replace("name: small", f"name: {name}"))
        log.settings = log.settings.model_copy(update={"redis": SecretStr(redis.address)})
        for day in (0, 1):
            log.land(day, [event(f"a{day}", at(day))])
        builds(log, 0, 1)
        if name == "small":
            online(log)
    with pytest.raises(LakeError, match="is the profile small's, not other's"):
        online(log)
    log.settings = log.settings.model_copy(update={"redis": SecretStr(f"{redis.address},db=1")})
    assert online(log)["user_features"] == 12


def test_a_redis_that_is_not_there(tmp_path):
    log = SmallLog(tmp_path)
    log.settings = log.settings.model_copy(update={"redis": SecretStr("127.0.0.1:1,password=word")})
    for day in (0, 1):
        log.land(day, [event(f"a{day}", at(day))])
    builds(log, 0, 1)
    with pytest.raises(LakeError, match="Redis cannot be reached") as found:
        online(log)
    assert "word" not in str(found.value)
