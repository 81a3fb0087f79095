"""The label tables equal a slow, obvious oracle, row for row, on random logs."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.logs import DAY, PROFILE, SmallLog, at, event
from tests.unit.oracle import Oracle

ODD_IDS = ["u1", "ü'\"; drop", "a|b/../c", "u" * 300, "日本", " u1"]


def random_log(seed: int, days: int, size: int, sources: tuple[str, ...]) -> dict[int, list[dict]]:
    """Random days with ties in time, repeats, late rows, exact boundaries and odd ids."""
    rng = random.Random(seed)
    landed: dict[int, list[dict]] = {day: [] for day in range(days)}
    for number in range(size):
        day = rng.randrange(days)
        ts = at(day, f"{rng.choice([0, 6, 11, 17, 23])}:{rng.choice(['00', '30'])}")
        ts += timedelta(microseconds=rng.choice([0, 0, 1]))
        domain = rng.choice(["feed", "feed", "feed", *sources])
        kind = rng.choice(["impression", "impression", "click", "order", "negative"])
        row = event(
            f"e{number:04d}",
            ts,
            kind,
            user_id=rng.choice(ODD_IDS),
            item_id=f"i{rng.randrange(1, 11)}",
            domain=domain,
            request_id=rng.choice([None, "r1", "r2"]),
            place=rng.choice(["home", "work", None]),
            value=rng.choice([None, 1.25, 19.99]) if kind == "order" else None,
        )
        late = rng.choice([0] * 8 + [1, 3, 7])
        if day + late < days:
            landed[day + late].append(row)
            if rng.random() < 0.05:
                landed[min(day + late + 1, days - 1)].append(row)
    return landed


def check_equal(found: list[dict], expected: dict[str, dict]) -> None:
    assert [row["event_id"] for row in found if row["event_id"] not in expected] == []
    assert len(found) == len(expected)
    for row in found:
        wanted = expected[row["event_id"]]
        assert set(row) == set(wanted)
        for name, value in wanted.items():
            if isinstance(value, float) and row[name] is not None:
                assert row[name] == pytest.approx(value, rel=1e-12), (name, row, wanted)
            else:
                assert row[name] == value, (name, row, wanted)


LIFT = "min_support: 1, threshold: 1.1, "
LIMITS = {"lift": LIFT, "lift_raw": LIFT, "rate": "min_rate_support: 3, ", "soft": ""}

DEFINITIONS = [
    ("lift", "bands", 2, ("search",)),
    ("lift", "bands", 3, ("search", "channel", "mail")),
    ("lift_raw", "bands", 4, ("search", "channel")),
    ("rate", "bands", 5, ("search", "channel")),
    ("soft", "bands", 6, ("search", "channel")),
    ("lift", "regression", 7, ("search", "channel")),
]
PATHS = [("lift", "bands", 1, ("search", "channel")), ("soft", "regression", 8, ("search",))]
LAST = 11


@pytest.mark.parametrize("case", DEFINITIONS, ids=str)
def test_labels_equal_the_oracle(tmp_path, case):
    check_backfill(tmp_path, *case)


@pytest.mark.parametrize("case", PATHS, ids=str)
def test_labels_equal_the_oracle_in_a_backfill_and_day_by_day(tmp_path, case):
    landed, backfill, expected = check_backfill(tmp_path, *case)
    daily = SmallLog(tmp_path / "daily", backfill.profile_text)
    for day, rows in landed.items():
        daily.land(day, rows)
        touched = daily.ingest(day, day)[0].touched_days
        first = min([*touched, DAY + timedelta(days=day)])
        if day:  # a late row re-opens the labels of the days it can change
            daily.label(max(0, (first - DAY).days - 1), day - 1)
    check_equal(daily.rows("icl_labels"), expected)


def check_backfill(
    folder: Path, definition: str, expectation: str, seed: int, sources: tuple[str, ...]
) -> tuple[dict[int, list[dict]], SmallLog, dict[str, dict]]:
    """Labels a random log at once; returns what landed, where, and what the oracle says of it."""
    rule = (
        f"labels: {{interest_hours: 36, consistency: {{definition: {definition}, {LIMITS[definition]}"
        f"own_response_days: 5, expectation: {expectation}}}}}\n"
        "landing: {broken_share: 0.1}\n"
    )
    profile = PROFILE.replace("[search, channel]", f"[{', '.join(sources)}]") + rule
    landed = random_log(seed, LAST + 1, 700, sources)
    backfill = SmallLog(folder / "backfill", profile)
    found = backfill.run(landed)
    oracle = Oracle(backfill.profile.spec, oracle_events(landed), backfill.items, backfill.users)
    expected = oracle.labels(DAY, DAY + timedelta(days=LAST - 1))
    check_equal(found, expected)
    return landed, backfill, expected


def oracle_events(landed: dict[int, list[dict]]) -> list[dict]:
    """The log without repeats, each row with the day that brought it first."""
    first: dict[str, dict] = {}
    for day in sorted(landed):
        for row in landed[day]:
            first.setdefault(row["event_id"], {**row, "known_on": DAY + timedelta(days=day)})
    return list(first.values())
