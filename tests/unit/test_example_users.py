"""Whom the demo ranks for and the page begins with, on rows that a person can check by eye."""

from __future__ import annotations

import duckdb
import pytest

from exit_pipeline.lake import render

DAY = 86_400_000_000
# User, age of the interest in the source in days, its unit and weight.
NEWEST = [("fresh", 0, "tea", 1.0), ("old", 7, "tea", 1.9), ("thin", 0, "pills", 9.0)]
LAST = {"old": 1}  # µs later than the others


@pytest.mark.parametrize("source", ["search", "unit"])  # or as a column of the query
@pytest.mark.parametrize(
    ("carries", "chosen"),
    [
        ({"tea": 0.9, "pills": 0.05}, ["fresh", "old", "thin"]),  # 0.9, 0.855, 0.45
        ({"tea": 0.4, "pills": 0.05}, ["thin", "fresh", "old"]),  # 0.4, 0.38, 0.45
        ({"soap": 1.0}, ["old", "fresh", "thin"]),  # nothing carries over: who changed last
    ],
)
def test_it_is_whose_fresh_interest_lies_most_in_what_carries_over(source, carries, chosen):
    with duckdb.connect() as duck:
        duck.execute(
            "create table user_interest (ds date, user_id varchar, state_us bigint, "
            f"{source}_state_us bigint, {source}_units varchar[], {source}_weights double[])"
        )
        duck.execute(
            f"create table scene_features (ds date, unit varchar, carries_{source} double)"
        )
        for user, age, unit, weight in NEWEST:
            now = 10 * DAY + LAST.get(user, 0)
            for state, heavy in ((now, weight), (now - DAY, 99.0)):  # what was so before
                row = ["2026-01-02", user, state, state - age * DAY, [unit], [heavy]]
                duck.execute("insert into user_interest values (?, ?, ?, ?, ?, ?)", row)
        for unit, rate in carries.items():
            duck.execute("insert into scene_features values ('2026-01-02', ?, ?)", [unit, rate])
        query = render("example_users", sources=(source,))
        for most in (3, 1):
            found = duck.execute(query, {"half_life_us": 7 * DAY, "most": most}).fetchall()
            assert [user for (user,) in found] == chosen[:most]
