"""Column lineage is read out of the SQL that makes the tables."""

from __future__ import annotations

from exit_pipeline.columns import column_lineage
from exit_pipeline.lake.columns import columns_of_query

SOURCES = ("search", "channel")
TABLES = {"a": ["id", "x"], "b": ["id", "y"]}


def test_joins_parts_and_stars():
    parts = {"part": "select id, x * 2 as twice from a"}
    query = (
        "with c as (select p.*, y from part p join b using (id)) select *, twice + y as z from c"
    )
    found = columns_of_query(query, parts, TABLES)
    assert found["twice"] == [("a", "x")]
    assert found["z"] == [("a", "x"), ("b", "y")]


def test_a_union_by_name_matches_by_name():
    query = "select x, id from a union all by name select id, y from b"
    found = columns_of_query(query, {}, TABLES)
    assert found == {"x": [("a", "x")], "id": [("a", "id"), ("b", "id")], "y": [("b", "y")]}


def test_the_label_is_made_of_outcome_interest_and_consistency(simulated):
    exposure = "ds event_id request_id user_id item_id ts unit cell scene segment y y_click y_order"
    by_source = {
        "source_interest": ("ys", "ahead", "count", "order_count", "last_ts"),
        "group_consistency": ("support", "lift_raw", "lift", "consistent"),
    }
    columns = {
        table: [*["ds", "event_id", "unit", "cell"], *(f"{p}_{s}" for p in parts for s in SOURCES)]
        for table, parts in by_source.items()
    }
    columns["impressions"] = [*exposure.split(), "y_negative", "value"]
    found = column_lineage("icl_labels", simulated.spec, lambda table: columns.get(table, []))
    assert found["icl_search"] == [
        ("group_consistency", "consistent_search"),
        ("impressions", "y"),
        ("source_interest", "ys_search"),
    ]


def test_what_is_read_from_landing_files_has_no_lineage_here(simulated):
    assert column_lineage("events", simulated.spec, lambda table: []) == {}
