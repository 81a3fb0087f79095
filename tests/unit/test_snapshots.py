"""The feature tables equal a slow look at the rows that had landed, on random logs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from exit_pipeline.features.build import build_features
from exit_pipeline.times import DAY_US, HOUR_US
from feature_repo.views import feature_views
from tests.logs import DAY, PROFILE, SmallLog, at
from tests.unit.test_labels_oracle import oracle_events, random_log

DAYS, WINDOW, LAG, HALF_LIFE = 10, 4, 7, 6
RULE = (
    f"features: {{window_days: {WINDOW}, availability_lag_minutes: {LAG}, "
    f"half_life_hours: {HALF_LIFE}, ttl_days: 3, recent_units: 2}}\n"
    "labels: {consistency: {min_support: 1, own_response_days: 5}}\n"
    "landing: {broken_share: 0.1}\n"
)
RESPONSES = ("click", "order")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> SmallLog:
    """A log whose users and items change, with late rows and repeats, and its events beside it."""
    items = [
        {"item_id": f"i{n}", "category": category, "valid_from": at(since)}
        for n in range(1, 11)
        for since, category in ((n % 3 - 1, f"c{n % 4}"), (6, f"c{n % 3}"))
    ]
    users = [
        {"user_id": user, "segment": segment, "valid_from": at(since)}
        for user in ("u1", "日本", "never seen")
        for since, segment in ((1, "s0"), (5, "s1"))
    ]
    log = SmallLog(tmp_path_factory.mktemp("log"), PROFILE + RULE, items, users)
    log.landed = random_log(3, DAYS, 500, ("search", "channel"))
    log.run(log.landed)
    for table in ("user_features", "item_features", "user_interest"):
        build(log, table, DAYS - 1)
    build(log, "scene_features", DAYS - 3)
    return log


def build(log: SmallLog, table: str, last: int, first: int = 0) -> None:
    days = (DAY + timedelta(days=first), DAY + timedelta(days=last))
    build_features(log.connect(), log.lake, log.profile, *days, table=table)


def known(log: SmallLog, ds: date) -> list[dict]:
    """What had landed by the end of a day."""
    return [e for e in oracle_events(log.landed) if e["known_on"] <= ds]


def window(log: SmallLog, ds: date, **columns: str) -> list[dict]:
    """What lies in the window of days that ends with a day."""
    return [
        e
        for e in known(log, ds)
        if ds - timedelta(days=WINDOW) < e["ts"].date() <= ds
        and all(e[name] == value for name, value in columns.items())
    ]


def valid(rows: list[dict], ds: date, key: str) -> dict[str, dict]:
    """The version of each that holds at the end of a day."""
    found: dict[str, dict] = {}
    for row in sorted(rows, key=lambda row: row["valid_from"]):
        if row["valid_from"] < end_of(ds):
            found[row[key]] = row
    return found


def end_of(ds: date) -> datetime:
    return datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + timedelta(days=1)


def count(events: list[dict], *kinds: str) -> int:
    return sum(e["event_type"] in kinds for e in events)


def days() -> list[date]:
    return [DAY + timedelta(days=n) for n in range(DAYS)]


def test_users(log):
    found = {(row["ds"], row["user_id"]): row for row in log.rows("user_features")}
    expected = {}
    for ds in days():
        attributes = valid(log.users, ds, "user_id")
        # A row follows the last day of a window that held something, and says that it is over.
        lately = [e for day in (ds, ds - timedelta(days=1)) for e in window(log, day)]
        for user in {*attributes, *(e["user_id"] for e in lately if e["known_on"] <= ds)}:
            feed = window(log, ds, user_id=user, domain="feed")
            shown, responses = count(feed, "impression"), count(feed, *RESPONSES)
            expected[ds, user] = {
                "segment": attributes.get(user, {}).get("segment"),
                "user_shown": shown if feed else None,
                "user_rate": (responses + 1) / (shown + 20) if feed else None,
                "user_negative_rate": (count(feed, "negative") + 1) / (shown + 100)
                if feed
                else None,
                **{
                    f"user_{s}": count(window(log, ds, user_id=user, domain=s), *RESPONSES) or None
                    for s in ("search", "channel")
                },
            }
    check(found, expected)
    assert any(row["user_search"] for row in expected.values())


def test_items(log):
    found = {(row["ds"], row["item_id"]): row for row in log.rows("item_features")}
    expected = {}
    for ds in days():
        for item, row in valid(log.items, ds, "item_id").items():
            feed = window(log, ds, item_id=item, domain="feed")
            shown = count(feed, "impression")
            expected[ds, item] = {
                "category": row["category"],
                "item_shown": shown,
                "item_rate": (count(feed, *RESPONSES) + 1) / (shown + 20),
                "item_order_rate": (count(feed, "order") + 1) / (shown + 100),
                "item_negative_rate": (count(feed, "negative") + 1) / (shown + 100),
            }
    check(found, expected)


def check(found: dict, expected: dict) -> None:
    """Same keys, same columns, and each row counts from its day's end plus the lag."""
    assert set(found) == set(expected)
    for key, wanted in expected.items():
        row = found[key]
        assert {name: row[name] for name in wanted} == pytest.approx(wanted), key
        assert row["event_timestamp"] == end_of(row["ds"]) + timedelta(minutes=LAG)


def test_groups_are_those_of_the_next_morning(log):
    morning = {(r["ds"], r["unit"], r["cell"]): r for r in log.rows("group_consistency")}
    rows = log.rows("scene_features")
    last = DAY + timedelta(days=DAYS - 3)
    next_days = {key for key in morning if DAY < key[0] <= last + timedelta(days=1)}
    assert {(r["ds"] + timedelta(days=1), r["unit"], r["cell"]) for r in rows} == next_days
    for row in rows:
        group = morning[row["ds"] + timedelta(days=1), row["unit"], row["cell"]]
        assert row["group_rate"] == (group["c"] + 1) / (group["n"] + 20)
        assert row["lift_search"] == group["lift_search"]
        assert row["event_timestamp"] == end_of(row["ds"]) + timedelta(minutes=LAG)


def test_states_of_interest(log):
    """Each moment's state is what a look through the user's events of that domain says."""
    rows, domains = log.rows("user_interest"), ("feed", "search", "channel")
    users = {e["user_id"] for e in oracle_events(log.landed)}
    moments = {(u, one[2]) for u in users for d in domains for one in changes(log, u, d)}
    assert sorted(moments) == sorted((row["user_id"], row["state_us"]) for row in rows)
    for row in rows:
        for domain in domains:
            since, units = slow_state(log, row["user_id"], domain, row["state_us"])
            held = since is not None and since >= row["state_us"] - 3 * DAY_US
            assert row[f"{domain}_state_us"] == (since if held else None)
            found = zip(
                *(row[f"{domain}_{part}"] for part in ("units", "last_us", "counts", "weights")),
                strict=True,
            )
            for (unit, *told), (wanted, *numbers) in zip(found, units if held else [], strict=True):
                assert unit == wanted
                assert told == pytest.approx(numbers, abs=1e-5)  # each event in whole millionths
        moment = row["event_timestamp"].timestamp() * 1e6
        assert round(moment) == row["state_us"] + LAG * 60_000_000


def slow_state(log: SmallLog, user: str, domain: str, now: int) -> tuple[int | None, list]:
    """The newest change by `now`, and of each unit: last time, count and decayed count as of it."""
    seen = [one for one in changes(log, user, domain) if one[2] <= now]
    since = max((moment for *_, moment in seen), default=None)
    seen = [one for one in seen if one[1] > (since or 0) - WINDOW * DAY_US]
    units = []
    for unit in {unit for unit, *_ in seen}:
        times = [us for one, us, _ in seen if one == unit]
        weight = sum(2.0 ** ((us - since) / (HALF_LIFE * HOUR_US)) for us in times)
        units.append((unit, max(times), len(times), weight))
    return since, sorted(units, key=lambda one: (-one[1], one[0]))[:2]


def changes(log: SmallLog, user: str, domain: str) -> list[tuple[str, int, int]]:
    """Of each event that shows interest: its unit, its time, and the moment that it was known."""
    found = []
    for e in oracle_events(log.landed):
        kinds = e["user_id"], e["domain"], e["event_type"] in RESPONSES
        unit, us = unit_at(log, e), micros(e["ts"])
        in_time = e["known_on"] == e["ts"].date()
        moment = us if in_time else micros(end_of(e["known_on"])) - 1
        if kinds == (user, domain, True) and unit and us > moment - WINDOW * DAY_US:
            found.append((unit, us, moment))
    return found


def unit_at(log: SmallLog, e: dict) -> str | None:
    versions = [row for row in log.items if row["item_id"] == e["item_id"]]
    held = [row for row in versions if row["valid_from"] <= e["ts"]]
    return max(held, key=lambda row: row["valid_from"])["category"] if held else None


def micros(ts: datetime) -> int:
    return (ts - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize("table", ["user_features", "item_features", "user_interest"])
def test_a_day_built_alone_is_the_day_built_with_all(log, tmp_path, table):
    alone = log.copy(tmp_path)
    for day in (4, DAYS - 1):
        build(alone, table, day, day)
    assert alone.rows(table) == log.rows(table)


def test_every_column_is_documented(log):
    """By its name, in which NAME stands for a source and DOMAIN for a domain."""
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text("utf-8")
    for view in feature_views(log.profile.spec, log.lake.home.lake):
        assert f"`{view.name}`" in page
        for field in view.features:
            name = field.name.replace("search", "NAME").replace("channel", "NAME")
            told = {name, name.replace("NAME", "DOMAIN").replace("feed", "DOMAIN")}
            assert any(f"`{one}`" in page for one in told) or field.name == "segment" or (
                field.name == "category"
            ), field.name  # fmt: skip
