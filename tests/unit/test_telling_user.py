"""Whom the demo ranks for, on rows that a person can check by eye."""

from __future__ import annotations

import duckdb
import pytest

from exit_pipeline.lake import render

DAY = 86_400_000_000
# User, age of the interest in the source in days, its unit and weight.
NEWEST = [("fresh", 0, "tea", 1.0), ("old", 7, "tea", 1.9), ("thin", 0, "pills", 9.0)]


@pytest.mark.parametrize("source", ["search", "unit"])  # or as a column of the query
@pytest.mark.parametrize(
    ("carries", "chosen"),
    [
        ({"tea": 0.9, "pills": 0.05}, "fresh"),  # 0.9, 0.855 after a half-life, 0.45
        ({"tea": 0.4, "pills": 0.05}, "thin"),  # 0.4, 0.38, 0.45
        ({"soap": 1.0}, None),
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
            states = [("2026-01-02", 10 * DAY, weight), ("2026-01-01", 9 * DAY, 99.0)]
            for ds, state, heavy in states:  # what was so a day before does not count
                row = [ds, user, state, state - age * DAY, [unit], [heavy]]
                duck.execute("insert into user_interest values (?, ?, ?, ?, ?, ?)", row)
        for unit, rate in carries.items():
            duck.execute("insert into scene_features values ('2026-01-02', ?, ?)", [unit, rate])
        query = render("telling_user", sources=(source,))
        found = duck.execute(query, {"half_life_us": 7 * DAY}).fetchone()
    assert found == (None if chosen is None else (chosen,))
