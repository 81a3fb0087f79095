"""Each label rule on rows that a person can check by eye."""

from __future__ import annotations

import pytest

from exit_pipeline.errors import LakeError
from tests.logs import PROFILE, SmallLog, at, event


def labels(tmp_path, rows, days=3, profile=PROFILE):
    by_day = {day: [] for day in range(days)}
    for row in rows:
        by_day[(row["ts"].date() - at(0).date()).days].append(row)
    found = SmallLog(tmp_path, profile).run(by_day)
    return {row["event_id"]: row for row in found}


def click(event_id, ts, **columns):
    return event(event_id, ts, "click", **columns)


def test_an_outcome_belongs_to_its_window_half_open(tmp_path):
    found = labels(tmp_path, [
        event("at_t", at(0), item_id="i1"), click("c1", at(0), item_id="i1"),
        event("at_end", at(0), item_id="i3"), click("c2", at(1), item_id="i3"),
        event("inside", at(0), item_id="i5"), click("c3", at(1, us=-1), item_id="i5"),
        event("before", at(0), item_id="i7"), click("c4", at(0, us=-1), item_id="i7"),
    ])  # fmt: skip
    assert {name: row["y"] for name, row in found.items()} == {
        "at_t": 1, "at_end": 0, "inside": 1, "before": 0,
    }  # fmt: skip


def test_the_request_that_the_outcome_names_wins_over_a_later_exposure(tmp_path):
    found = labels(tmp_path, [
        event("named", at(0, "10:00"), request_id="r1"),
        event("later", at(0, "11:00"), request_id="r2"),
        click("c", at(0, "12:00"), request_id="r1"),
    ])  # fmt: skip
    assert (found["named"]["y"], found["later"]["y"]) == (1, 0)


def test_without_such_a_request_the_latest_wins_and_ties_go_to_the_largest_id(tmp_path):
    found = labels(tmp_path, [
        event("early", at(0, "09:00"), request_id="r1"),
        event("tie_a", at(0, "10:00"), request_id="r1"),
        event("tie_b", at(0, "10:00"), request_id="r2"),
        click("c", at(0, "12:00"), request_id="r9"),
    ])  # fmt: skip
    assert [found[n]["y"] for n in ("early", "tie_a", "tie_b")] == [0, 0, 1]


def test_an_id_that_comes_again_after_the_horizon_is_another_exposure(tmp_path):
    log, again = SmallLog(tmp_path), 9
    days = {n: [] for n in range(again + 3)}
    days[0] = [event("e", at(0)), click("c", at(0, "12:01"))]
    days[again] = [
        event("e", at(again), user_id="u2"),
        click("c", at(again, "12:01"), user_id="u3"),
    ]
    rows = log.run(days)
    assert {row["user_id"]: row["y"] for row in rows} == {"u1": 1, "u2": 0}


def test_an_outcome_after_midnight_counts_for_the_exposure_before(tmp_path):
    found = labels(tmp_path, [event("e", at(0, "23:59")), click("c", at(1, "00:01"))])
    assert found["e"]["y"] == 1


def test_kinds_of_outcome_and_the_orders_value(tmp_path):
    found = labels(tmp_path, [
        event("e", at(0)), click("c", at(0, "12:01")),
        event("o1", at(0, "12:02"), "order", value=10.5),
        event("o2", at(0, "12:03"), "order", value=0.25),
        event("shunned", at(0), item_id="i3"), event("n", at(0, "12:05"), "negative", item_id="i3"),
    ])  # fmt: skip
    names = ("y", "y_click", "y_order", "y_negative", "value")
    assert [found["e"][n] for n in names] == [1, 1, 1, 0, 1075]
    assert [found["shunned"][n] for n in names] == [0, 0, 0, 1, 0]


def test_source_interest_is_strictly_before_and_within_three_days(tmp_path):
    found = labels(tmp_path, [
        click("too_old", at(0, us=-1), domain="search", item_id="i1"),
        click("edge", at(0), domain="search", item_id="i2"),
        event("bought", at(2), "order", domain="search", item_id="i2"),
        click("at_t", at(3), domain="search", item_id="i2"),
        click("other", at(2), domain="channel", item_id="i3"),
        event("e", at(3), item_id="i1"),
    ], days=5)  # fmt: skip
    row = found["e"]
    assert (row["unit"], row["ys_search"], row["ys_channel"]) == ("c1", 1, 0)
    assert (row["count_search"], row["order_count_search"]) == (2, 1)
    assert row["last_ts_search"] == at(2)
    assert row["ahead_search"] == 1  # the click at t itself


def test_interest_ahead_is_half_open_too(tmp_path):
    found = labels(tmp_path, [
        event("e", at(0)), click("s", at(1, us=-1), domain="search"),
        event("f", at(0), user_id="u2"), click("t", at(1), domain="search", user_id="u2"),
    ])  # fmt: skip
    assert (found["e"]["ahead_search"], found["f"]["ahead_search"]) == (1, 0)


def test_units_are_those_valid_at_the_moment(tmp_path):
    log = SmallLog(tmp_path)
    moved = [{"item_id": "i1", "category": "c9", "valid_from": at(1)}]
    log = SmallLog(tmp_path, items=[*log.items, *moved])
    rows = log.run({0: [], 1: [event("old", at(1, us=-1)), event("new", at(1))], 2: []})
    assert {row["event_id"]: row["unit"] for row in rows} == {"old": "c1", "new": "c9"}


def test_an_item_without_attributes_has_no_unit_and_no_interest(tmp_path):
    found = labels(tmp_path, [click("s", at(0), domain="search", item_id="i99"),
                              event("e", at(1), item_id="i99")])  # fmt: skip
    assert (found["e"]["unit"], found["e"]["ys_search"], found["e"]["lift_search"]) == (
        None,
        0,
        None,
    )


def test_scene_segment_and_maturity(tmp_path):
    found = labels(tmp_path, [event("e", at(0, "23:00"), place=None)])
    row = found["e"]
    assert (row["scene"], row["segment"]) == ("evening|weekday|unknown", "s1")
    assert str(row["mature_on"]) == "2026-01-07"


def test_without_history_nothing_carries_over(tmp_path):
    found = labels(tmp_path, [click("s", at(0), domain="search"), event("e", at(1)),
                              click("c", at(1, "12:01"))])  # fmt: skip
    row = found["e"]
    assert (row["y"], row["ys_search"], row["consistent_search"], row["support_search"]) == (
        1,
        1,
        0,
        0,
    )
    assert (row["lift_search"], row["icl_search"], row["icl"]) == (None, 1, 1)


RULE = "labels: {{consistency: {{definition: {}}}}}\n"
LIFT = "min_support: 1, threshold: 1.01"


def history(definition):
    """Day 0: four users with search interest, of whom three click; four without, none clicks."""
    rows = []
    for n in range(1, 9):
        user = f"v{n}"
        if n <= 4:
            rows.append(click(f"s{n}", at(0, "11:00"), domain="search", user_id=user))
        rows.append(event(f"e{n}", at(0), user_id=user))
        if n <= 3:
            rows.append(click(f"c{n}", at(0, "12:01"), user_id=user))
    rows += [
        click("s", at(2, "11:00"), domain="search"),
        event("e", at(2)),
        click("c", at(2, "12:01")),
    ]
    return rows, PROFILE + RULE.format(definition)


def test_raw_lift_by_hand(tmp_path):
    rows, profile = history(f"lift_raw, {LIFT}")
    row = labels(tmp_path, rows, days=4, profile=profile)["e"]
    r_unit = (0 + 1) / (4 + 20)
    r_group = (0 + 100 * r_unit) / (4 + 100)
    unit_lift = (3 + 5) / (4 * r_unit + 5)
    assert row["lift_raw_search"] == pytest.approx((3 + 3 * unit_lift) / (4 * r_group + 3))
    assert row["support_search"] == 4
    assert (row["consistent_search"], row["icl_search"], row["icl"]) == (1, 2, 2)


def test_lift_by_a_regression_that_has_nothing_to_learn_from_yet_by_hand(tmp_path):
    from math import exp

    rows, profile = history(f"lift, expectation: regression, {LIFT}")
    row = labels(tmp_path, rows, days=4, profile=profile)["e"]
    # The four were seen on day 0, when a rate of 1 in 20 was all that was known: log odds −2.9.
    expected = 4 * round(1e6 / (1 + exp(2.9))) / 1e6
    unit_lift = (3 + 5) / (expected + 5)
    assert row["lift_search"] == pytest.approx((3 + 3 * unit_lift) / (expected + 3), rel=1e-12)
    assert (row["support_search"], row["consistent_search"], row["icl_search"]) == (4, 1, 2)


def test_a_regression_expects_more_of_who_responded_before(tmp_path):
    rows = [event(f"e{day}{n}", at(day), user_id=f"u{n}") for day in range(8) for n in range(1, 7)]
    rows += [click(f"c{day}", at(day, "12:01"), user_id="u1") for day in range(7)]
    rows += [event("e", at(9)), click("of_u1", at(7, "12:01")),
             click("of_u2", at(7, "12:01"), user_id="u2")]  # fmt: skip
    profile = PROFILE + RULE.format(f"lift, expectation: regression, {LIFT}")
    lifts = []
    for user in ("u1", "u2"):
        interest = click("s", at(7, "11:00"), domain="search", user_id=user)
        row = labels(tmp_path / user, [*rows, interest], days=11, profile=profile)["e"]
        assert row["support_search"] == 1
        lifts.append(row["lift_search"])
    assert lifts[0] < lifts[1]


def test_a_regression_needs_the_sums_of_all_days(tmp_path):
    rows, profile = history(f"lift, {LIFT}")
    labels(tmp_path, rows, days=4, profile=profile)
    rows, profile = history(f"lift, expectation: regression, {LIFT}")
    with pytest.raises(LakeError, match="build all tables anew"):
        SmallLog(tmp_path, profile).label(2, 2)


def test_rate_by_hand(tmp_path):
    rows, profile = history("rate, min_rate_support: 2")
    row = labels(tmp_path, rows, days=4, profile=profile)["e"]
    assert row["consistent_search"] == 1  # the group is the whole unit: its rate is the unit's


@pytest.mark.parametrize(("shown", "clicked"), [(51, 15), (60, 7)])
def test_a_rate_that_is_its_units_is_no_lower_by_a_rounding(tmp_path, shown, clicked):
    rows = [event(f"e{n}", at(0), user_id=f"v{n}") for n in range(shown)]
    rows += [click(f"c{n}", at(0, "12:01"), user_id=f"v{n}") for n in range(clicked)]
    profile = PROFILE + RULE.format("rate, min_rate_support: 50")
    row = labels(tmp_path, [*rows, event("e", at(2))], days=4, profile=profile)["e"]
    assert row["consistent_search"] == 1


def test_soft_is_the_logarithm_of_the_lift_within_bounds(tmp_path):
    from math import log2

    rows, profile = history("soft")
    row = labels(tmp_path, rows, days=4, profile=profile)["e"]
    assert row["consistent_search"] == pytest.approx(min(1, log2(row["lift_search"])))
    assert row["icl_search"] == pytest.approx(1 + row["consistent_search"])


def test_nothing_of_the_day_itself_or_of_immature_days_is_in_a_group(tmp_path):
    rows, profile = history(f"lift_raw, {LIFT}")
    crowd = [event(f"x{n}", at(1, "12:00"), user_id=f"w{n}") for n in range(50)]
    crowd += [event(f"y{n}", at(2, "12:00"), user_id=f"w{n}") for n in range(50)]
    alone = labels(tmp_path / "alone", rows, days=4, profile=profile)["e"]
    crowded = labels(tmp_path / "crowded", rows + crowd, days=4, profile=profile)["e"]
    assert alone == crowded
