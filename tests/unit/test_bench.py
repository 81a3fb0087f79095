"""The synthetic log of the benches, and how they measure."""

from __future__ import annotations

import time

import duckdb

from exit_pipeline.bench import labels, labels_pandas, training_peers
from exit_pipeline.bench.measure import LEAST, best_of
from exit_pipeline.bench.training_floor import BEST
from exit_pipeline.lake.duck import render

KINDS = {
    (True, "impression"): 500, (True, "click"): 40, (True, "order"): 8, (True, "negative"): 4,
    (False, "click"): 450, (False, "order"): 8, (False, "impression"): 990,
}  # fmt: skip


def log(rows: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("load icu; set TimeZone = 'UTC'")
    events = render("bench_events")
    connection.execute(f"create table events as {events}", {"rows": rows, "users": 50})
    return connection


def test_the_log_has_so_many_rows_of_each_kind_within_its_days():
    connection = log(2000)
    found = connection.sql("select domain = 'feed', event_type, count(*) from events group by all")
    assert {(feed, kind): n for feed, kind, n in found.fetchall()} == KINDS
    days = connection.sql("select min(ds), max(ds), count(*) filter (ds <> ts::date) from events")
    assert [str(one) for one in days.fetchall()[0]] == ["2026-01-05", "2026-02-03", "0"]


def test_what_follows_an_event_has_its_user_and_item_a_short_while_later():
    connection = log(2000)
    # By numbers: clicks of the feed lie 250 rows behind their exposures, orders 270, dislikes 254.
    pairs = connection.sql("""
        select e.event_type, count(*)
        from events o join events e
          on e.event_id = 'e' || (substr(o.event_id, 2)::integer - case o.domain || o.event_type
               when 'feedclick' then 250 when 'feedorder' then 270 when 'feednegative' then 254
               else 224 end)
         and e.user_id = o.user_id and e.item_id = o.item_id and e.domain = o.domain
         and e.request_id is not distinct from o.request_id
         and o.ts > e.ts and o.ts <= e.ts + interval 30 minutes
        where o.domain = 'feed' and o.event_type <> 'impression' or o.event_type = 'order'
        group by all
    """).fetchall()
    assert dict(pairs) == {"impression": 40 + 8 + 4, "click": 8}
    ((n,),) = connection.sql(
        "select count(distinct request_id) from events where event_type = 'impression'"
    ).fetchall()
    assert n == 500


def test_the_pandas_peer_counts_what_the_step_counts(tmp_path):
    home = str(tmp_path / "home")
    labels.prepare(home, 20_000)
    labels.source_interest(home)
    assert labels_pandas.source_interest(home)["rows_equal"] == 1


def test_a_peers_time_is_of_its_first_epoch_without_validation():
    calls, losses = [], iter([0.7, 0.5, 0.6])

    def logloss():
        calls.append("validate")
        time.sleep(0.3)
        return next(losses)

    found = training_peers.trained(lambda: calls.append("train"), logloss, 3)
    assert calls == ["train", "validate"] * 3
    assert found["logloss"] == 0.5
    assert found["wall_s"] < 0.3


def test_of_several_runs_the_least_cost_and_the_highest_floor_count():
    runs = [
        {"cpu_s": 2.0, "fp32": 5.0, "rows_ms": 4.0, "kflop_per_row": 344},
        {"cpu_s": 1.0, "fp32": 9.0, "rows_ms": 3.0, "kflop_per_row": 344},
        {"cpu_s": 3.0, "fp32": 7.0, "rows_ms": 5.0, "kflop_per_row": 344},
    ]
    assert best_of(runs, {**LEAST, **BEST}) == {
        "cpu_s": 1.0, "fp32": 9.0, "rows_ms": 3.0, "kflop_per_row": 344,
    }  # fmt: skip
    assert best_of(runs)["fp32"] == 7.0  # the last run's: nothing says which is best
