"""A service that runs while a person is forgotten: it sees it at once, and writes nothing back."""

from __future__ import annotations

import pyarrow.parquet as pq
from starlette.testclient import TestClient

from exit_pipeline.privacy.forget import forget
from exit_pipeline.profile import load_profile
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.service import Options
from tests.logs import at, event
from tests.serving.conftest import ask
from tests.serving.test_events import TODAY, built, log, push, pushes, rows_of, seen  # noqa: F401

USER = "u0000001"


def forgets(log, who: str = "u1"):  # noqa: F811
    return forget(log.settings, log.lake.home, log.profile, who)


def test_what_was_pushed_of_them_never_comes_online(log):  # noqa: F811
    taker = pushes(log)
    assert push(log, taker, TODAY, at(2, "11:00"))["accepted"] == len(TODAY)
    assert forgets(log).removed["pushed"] == 6
    assert taker.bring(at(2, "14:00")) == 1  # u2's
    assert seen(log, at(2, "14:00"))["search_units"].to_pylist()[0] is None
    assert seen(log, at(2, "14:00"), "u2")["search_units"].to_pylist()[0] == ["c4"]
    lines = [f.read_text() for f in log.lake.home.pushed.glob("ds=*/*.jsonl")]
    assert ["u1" in text for text in lines] == [False]


def test_what_is_pushed_of_them_later_is_refused_and_written_nowhere(log):  # noqa: F811
    taker = pushes(log)
    forgets(log)
    row = event("q", at(2, "10:00"), "click", domain="search")
    told = push(log, taker, [row, row | {"event_id": "r", "user_id": "u2"}], at(2, "11:00"))
    assert [(one["event_id"], one["reason"]) for one in told["refused"]] == [("q", "forgotten")]
    assert told["accepted"] == 1
    assert taker.bring(at(2, "14:00")) == 1
    assert taker.journal.read()["user_id"].to_pylist() == ["u2"]


def test_a_running_service_answers_as_to_a_stranger_and_logs_nothing_of_them(home, tmp_path):
    service, profile = (
        home.service(Options(log_rankings=tmp_path / "log"), serve_skew_share=1.0),
        load_profile("simulated"),
    )
    with TestClient(make_app(service)) as client:
        assert ask(client, user_id=USER).json()["flags"] == []
        ask(client, user_id="u0000007")  # both wait to be written
        forget(home.settings, home.lake.home, profile, USER)
        assert ask(client, user_id=USER).json()["flags"] == ["unknown user: defaults are used"]
    for folder in (tmp_path / "log", home.lake.home.sampled):
        rows = [pq.read_table(file) for file in folder.glob("ds=*/*.parquet")]
        assert {user for part in rows for user in part["user_id"].to_pylist()} == {"u0000007"}
