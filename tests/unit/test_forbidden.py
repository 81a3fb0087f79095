"""From the log to the score: what was done in a forbidden source changes nothing, to the bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exit_pipeline.features.build import FEATURE_TABLES, build_features
from exit_pipeline.features.inputs import input_spec
from exit_pipeline.features.training_set import build_training_set
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.online import materialize_online
from exit_pipeline.ranking.rows import UserReader, online_rows
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training import train_model
from tests.logs import DAY, PROFILE, SmallLog, _day, at, event
from tests.unit.rows import MODEL, TRAINING

WINDOW = "features: {window_days: 2, ttl_days: 4}\n"
SCENE = {"hour_band": "day", "day_kind": "weekday", "place": "home"}
FIRST, LAST = 4, 7  # days whose exposures are looked at
# Days whose exposures they have: one goes on, one stops, one whom no table knows stops, one comes
# late, and one is asked for but was never shown a thing.
USERS = {
    "u1": range(4, 8),
    "u2": range(4, 6),
    "stranger": range(4, 6),
    "newcomer": [7],
    "guest": [],
}
ITEMS = ("i1", "i3", "i5")  # of the units c1, c2, c3; search is forbidden in c1


def seen(name: str, day: int, user: str, **columns) -> list[dict]:
    """An exposure, and the click it led to."""
    columns = {"user_id": user, "request_id": name, **columns}
    return [
        event(name, at(day), **columns),
        event(f"{name}c", at(day, "12:07"), "click", **columns),
    ]


def after(name: str, day: int, clock: str, user: str, domain: str, item: str = "i1") -> dict:
    return event(name, at(day, clock), "click", user_id=user, domain=domain, item_id=item)


def landed() -> dict[int, list[dict]]:
    """What everyone did without the searches in question."""
    days: dict[int, list[dict]] = {day: [] for day in range(LAST + 2)}
    days[0] = [*seen("a", 0, "u1"), *seen("b", 0, "stranger", item_id="i3"),
               after("c", 0, "13:00", "u1", "channel"), *seen("d", 0, "u2")]  # fmt: skip
    days[1] = [*seen("e", 1, "stranger"), after("f", 1, "10:00", "stranger", "channel")]
    days[2] = [*seen("g", 2, "u1", item_id="i3"), after("h", 2, "10:00", "u1", "search", "i5")]
    days[4] = [after("i", 4, "09:00", "u1", "channel"), after("j", 4, "08:00", "u1", "search")]
    days[5] = seen("k", 5, "u1")
    days[7] = [*seen("m", 7, "u1"), after("l", 7, "11:00", "u1", "channel")]
    for user, shown in USERS.items():
        for day in shown:
            days[day] += [event(f"{user}{day}{item}", at(day, "18:00"), user_id=user, item_id=item)
                          for item in ITEMS]  # fmt: skip
    return days


def searched() -> dict[int, list[dict]]:
    """What everyone searched besides, in c1: before, between and after the rest; some comes late."""
    days: dict[int, list[dict]] = {}
    for day in range(LAST + 1):
        days[day] = [after(f"x{day}{user}{n}", day, f"{7 + 5 * n}:{13 + n}:0{n}", user, "search")
                     for user in USERS for n in range(3) if (day + n) % 3]  # fmt: skip
    days[6] += [after(f"late{user}", 4, "17:00", user, "search") for user in USERS]
    return days


@dataclass
class Told:
    """Rows that a scorer reads of one log."""

    offline: pa.Table
    online: dict[str, pa.RecordBatch]


def tell(root, extra: dict[int, list[dict]]) -> Told:
    log = SmallLog(root, PROFILE + WINDOW)
    log.run({day: [*rows, *extra.get(day, [])] for day, rows in landed().items()})
    for table in FEATURE_TABLES:
        build_features(log.connect(), log.lake, log.profile, DAY, _day(LAST), table=table)
    days = _day(FIRST), _day(LAST)
    build_training_set(log.connect(), log.lake, log.profile, *days, settings=log.settings)
    materialize_online(log.settings, log.lake, log.profile)
    from exit_pipeline.feast_stores.repo import open_store

    store = open_store(log.settings, log.lake.home)
    spec, asked = log.profile.spec, at(LAST + 1, "18:00")
    read = UserReader(store, spec)
    return Told(
        pa.Table.from_pylist(log.rows("training_set")).sort_by("event_id"),
        {user: online_rows(store, spec, read(user, asked), ITEMS, SCENE, asked)[0]
         for user in USERS},
    )  # fmt: skip


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return SmallLog(tmp_path_factory.mktemp("profile"), PROFILE + WINDOW).profile.spec


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[Told, Told]:
    return (tell(tmp_path_factory.mktemp("without"), {}),
            tell(tmp_path_factory.mktemp("with"), searched()))  # fmt: skip


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, profile) -> Scorer:
    """A model that was fitted to noise reads every column."""
    folder, spec = tmp_path_factory.mktemp("model"), input_spec(profile)
    parts = {}
    for seed, part in enumerate(("train", "validation", "calibration")):
        pq.write_table(noise(spec, 600, seed), folder / f"{part}.parquet")
        parts[part] = [str(folder / f"{part}.parquet")]
    model = train_model("exit", spec, parts, "unit", MODEL, TRAINING, scratch=folder / "scratch")
    rule = RuleSpec(source="search", unit="c1", forbid=True, reason="a test")
    return Scorer(model, [rule])


def noise(spec, n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    values = {"user_id": list(USERS), "item_id": ITEMS, "unit": ("c1", "c2", "c3")}
    columns: dict[str, object] = {
        name: rng.choice(values.get(name, ("s0", "s1", *SCENE.values())), n)
        for name in spec.categorical
    }
    numbers = [*spec.numeric, *(name for names in spec.source_numeric.values() for name in names)]
    columns |= {name: np.where(rng.random(n) < 0.1, np.nan, rng.gamma(1, 2, n)) for name in numbers}
    columns |= {"scene": rng.choice(["a", "b"], n), "event_id": np.arange(n).astype(str)}
    columns["event_timestamp"] = pa.array([at(0)] * n, pa.timestamp("us", "UTC"))
    labels = ["y", "y_click", "y_order", "icl"]
    labels += [f"{part}_{s}" for s in spec.sources for part in ("ys", "ahead", "icl")]
    columns |= {name: rng.integers(2, size=n).astype(np.int8) for name in labels}
    columns |= {f"consistent_{s}": rng.random(n).round() for s in spec.sources}
    return pa.table(columns)


def rows_of(told: Told, way: str) -> pa.Table:
    """The rows of the training set, or those of every user online."""
    if way == "offline":
        return told.offline
    users = [pa.Table.from_batches([rows]) for rows in told.online.values()]
    return pa.concat_tables(users, promote_options="permissive")  # nothing known has no type


@pytest.mark.parametrize("way", ["offline", "online"])
def test_only_columns_of_search_know_what_was_searched(told, profile, way):
    spec = input_spec(profile)
    before, after = (rows_of(one, way) for one in told)
    of_search = set(spec.source_numeric["search"])
    differ = {name for name in spec.columns if before[name].to_pylist() != after[name].to_pylist()}
    assert differ <= of_search
    assert {"user_search", "search_decayed", "search_count", "search_activity"} <= differ
    # There is something to keep: counts of the target and the channel, for some and not for all.
    for name in ("user_shown", "user_channel", "feed_recency_hours", "channel_recency_hours"):
        assert 0 < before[name].null_count < before.num_rows, name


@pytest.mark.parametrize("way", ["offline", "online"])
def test_a_forbidden_score_is_the_same_to_the_bit(told, scorer, way):
    before, after = (rows_of(one, way) for one in told)
    forbidden = np.asarray(before["unit"]) == "c1"
    first, second = scorer.score(before), scorer.score(after)
    for part in ("score", "logit", "p_target", "p_source", "own", "carry"):
        one, other = (getattr(found, part)[forbidden] for found in (first, second))
        assert one.tobytes() == other.tobytes(), part
    assert (first.score[~forbidden] != second.score[~forbidden]).any()
