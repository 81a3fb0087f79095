"""What was shown becomes a day of the log; what was read is compared with what training reads."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from errno import ENOSPC
from threading import Event

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from exit_pipeline.cli.main import app
from exit_pipeline.errors import UsageError
from exit_pipeline.feast_stores.repo import open_store
from exit_pipeline.ingest import ingest_days
from exit_pipeline.ingest.arrivals import arrivals
from exit_pipeline.ingest.shown import land_shown
from exit_pipeline.lake import connect
from exit_pipeline.privacy import Forgotten
from exit_pipeline.profile import load_profile
from exit_pipeline.serving import parts, ranking_logs
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.parts import Parts
from exit_pipeline.serving.ranking_logs import sample_day
from exit_pipeline.serving.service import Options
from exit_pipeline.settings import Home
from exit_pipeline.validation.skew import check_skew
from tests.logs import EVENTS, SmallLog, at, event
from tests.serving.conftest import ServingHome, ask

DAY = date(
    2026, 1, 16
)  # the log ends the day before; the service's clock stands five minutes after
ROWS = pa.table({"ts": pa.array([datetime(2026, 1, 16, tzinfo=UTC)], pa.timestamp("us", "UTC"))})


def nobody(folder) -> Forgotten:
    return Forgotten(Home(folder / "home"))


def served(home: ServingHome, log=None, **settings) -> list[dict]:
    """What four users were shown; ends with everything written."""
    service = home.service(Options(log_rankings=log), **{"serve_skew_share": 1.0} | settings)
    with TestClient(make_app(service)) as client:
        users = ("u0000001", "u0000007", "u0000100", "nobody")
        return [ask(client, user_id=user, k=3, request_id=f"r-{user}").json() for user in users]


def test_what_was_shown_lands_and_is_ingested_whole(home, tmp_path):
    profile, log = load_profile("simulated"), tmp_path / "log"
    answers = served(home, log)
    place = home.lake.home
    assert (
        land_shown(home.settings, place, profile, log, datetime(2026, 1, 16, 23, tzinfo=UTC)) == {}
    )
    after = datetime(2026, 1, 17, 0, 2, tzinfo=UTC)
    assert land_shown(home.settings, place, profile, log, after) == {DAY: 12}
    assert land_shown(home.settings, place, profile, log, after) == {DAY: 12}
    (report,) = ingest_days(connect(home.settings, place), home.lake, profile, [DAY])
    assert (report.read, report.events, report.duplicates, report.quarantined) == (12, 12, 0, 0)
    connection = connect(home.settings, place)
    home.lake.view(connection, "events", [("known_on", "=", DAY)])
    found = connection.sql(
        "select request_id, user_id, list(item_id order by position), min(position), any_value(place),"
        " any_value(domain), any_value(event_type) from events group by all order by all"
    ).fetchall()
    expected = sorted(
        (
            a["request_id"],
            a["user_id"],
            [i["item_id"] for i in a["items"]],
            0,
            "home",
            "feed",
            "impression",
        )
        for a in answers
    )
    assert found == expected


def test_the_command_lands_a_day_in_the_contracts_columns(tmp_path):
    folder = tmp_path / "log" / "ds=2026-01-05"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([event("a", at(0))], EVENTS), folder / "part.parquet")
    env = {"EXIT_HOME": str(tmp_path / "home")}
    made = CliRunner().invoke(app, ["land", str(tmp_path / "log"), "--json"], env=env)
    assert json.loads(made.stdout) == {"days": {"2026-01-05": 1}}
    landed = tmp_path / "home/simulated/landing/events/ds=2026-01-05/shown.parquet"
    assert pq.read_schema(landed).names == EVENTS.names


def test_a_day_that_is_landed_again_is_new_only_where_its_log_is(tmp_path):
    small, log = SmallLog(tmp_path / "small"), tmp_path / "log"
    part = log / "ds=2026-01-05" / "part.parquet"
    part.parent.mkdir(parents=True)
    home = small.lake.home

    def landed(*names: str):
        pq.write_table(pa.Table.from_pylist([event(n, at(0)) for n in names], EVENTS), part)
        assert list(land_shown(small.settings, home, small.profile, log, at(3))) == [at(0).date()]
        return arrivals(small.profile, home)

    first = landed("b", "a")
    assert landed("b", "a") == first
    assert landed("c", "a") != first
    (folder,) = (home.landing / "events").iterdir()
    assert [file.name for file in folder.iterdir()] == ["shown.parquet"]


def test_nothing_is_logged_unless_asked_for(home):
    served(home, serve_skew_share=0.0)
    assert not home.lake.home.sampled.exists()


def test_a_profile_that_does_not_land_by_day_is_refused(home, tmp_path):
    with pytest.raises(UsageError, match="ds="):
        land_shown(home.settings, home.lake.home, load_profile("complete_journey"), tmp_path,
                   datetime(2026, 1, 17, tzinfo=UTC))  # fmt: skip


def test_a_log_that_is_full_drops_and_counts_and_a_broken_disk_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "WAITING", 2)
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    metrics, writing, go = Metrics(), Event(), Event()
    counters = [metrics.dropped.labels("rankings"), metrics.kept.labels("rankings")]
    start = [
        counter._value.get() for counter in counters
    ]  # Feast makes all of a process share them

    def counted() -> list[float]:
        return [counter._value.get() - n for counter, n in zip(counters, start, strict=True)]

    def slow(held) -> pa.Table:
        writing.set()
        assert go.wait(30)
        return pa.concat_tables(held)

    one = Parts(tmp_path / "log", "rankings", slow, sample_day, metrics, nobody(tmp_path))
    one.put(ROWS)
    assert writing.wait(30)
    for _ in range(5):
        one.put(ROWS)
    assert counted() == [3, 0]
    go.set()
    one.close()
    assert counted() == [3, 3]
    assert sum(pq.read_table(f).num_rows for f in tmp_path.glob("log/ds=2026-01-16/*.parquet")) == 3
    (tmp_path / "file").write_text("no folder")
    broken = Parts(
        tmp_path / "file", "rankings", pa.concat_tables, sample_day, metrics, nobody(tmp_path)
    )
    broken.put(ROWS)
    broken.close()
    assert counted() == [4, 3]


def test_what_the_disk_does_not_take_is_held_and_written_later_once_by_day(tmp_path, monkeypatch):
    for name, value in (("WAITING", 2), ("SECONDS", 0.0), ("FIRST_WAIT", 0.01)):
        monkeypatch.setattr(parts, name, value)
    metrics, tried, room = Metrics(), Event(), Event()
    counters = [metrics.dropped.labels("samples"), metrics.kept.labels("samples")]
    start = [counter._value.get() for counter in counters]

    def counted() -> list[float]:
        return [counter._value.get() - n for counter, n in zip(counters, start, strict=True)]

    def to_disk(partial, file) -> None:
        if "ds=2026-01-17" in str(file) and not room.is_set():
            tried.set()
            raise OSError(ENOSPC, "No space left on device")
        partial.rename(file)

    monkeypatch.setattr(parts, "put_to_disk", to_disk)
    one = Parts(
        tmp_path / "log", "samples", pa.concat_tables, sample_day, metrics, nobody(tmp_path), most=1
    )
    later = datetime(2026, 1, 17, tzinfo=UTC)
    one.put(ROWS)
    one.put(pa.table({"ts": pa.array([later], ROWS["ts"].type)}))
    assert tried.wait(30)
    assert counted() == [0, 1]
    for _ in range(5):
        one.put(ROWS)
    assert counted() == [3, 1]  # no more than two wait
    room.set()
    one.close()
    assert counted() == [3, 2]
    files = [file.parent.name for file in sorted(tmp_path.glob("log/ds=*/*"))]
    assert files == ["ds=2026-01-16", "ds=2026-01-17"]


def test_no_answer_fails_for_what_is_kept_of_it(home, monkeypatch):
    def broken(*_):
        raise pa.ArrowInvalid("a value that does not cast")

    monkeypatch.setattr(ranking_logs, "sample", broken)
    assert [answer["items"] != [] for answer in served(home)] == [True] * 4
    assert not list(home.lake.home.sampled.glob("**/*.parquet"))


def test_samples_are_bounded_by_day_and_old_days_go(tmp_path):
    for day in (1, 2, 3):
        one = Parts(
            tmp_path,
            "samples",
            pa.concat_tables,
            sample_day,
            Metrics(),
            nobody(tmp_path),
            most=2,
            days=2,
        )
        moment = pa.array([datetime(2026, 1, day, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC"))
        one.put(pa.table({"ts": moment}))
        one.put(pa.table({"ts": moment}))
        one.close()
    found = {f.parent.name: pq.read_metadata(f).num_rows for f in tmp_path.glob("ds=*/*.parquet")}
    assert found == {"ds=2026-01-02": 2, "ds=2026-01-03": 2}


def test_no_skew_is_found_where_there_is_none_and_each_planted_one_is(home, monkeypatch):
    from assets import checks
    from assets.resources import Pipeline

    profile = load_profile("simulated")
    served(home)
    report = check_skew(home.settings, home.lake, profile)
    assert (report.rows, report.differences) == (12, [])

    shutil.rmtree(home.lake.home.sampled)
    store = open_store(home.settings, home.lake.home)
    row = store.get_online_features(
        features=[f"user_features:{n}" for n in ("segment", "age_band", "user_shown", "user_rate",
                  "user_negative_rate", "user_search", "user_channel")],
        entity_rows=[{"user_id": "u0000007"}],
    ).to_df()  # fmt: skip
    moment = datetime(2026, 1, 16, 0, 5, tzinfo=UTC)
    planted = row.assign(user_shown=row["user_shown"] + 1, event_timestamp=moment, created=moment)
    store.write_to_online_store("user_features", planted)
    served(home)
    report = check_skew(home.settings, home.lake, profile)
    assert (report.rows, report.differing, report.features) == (12, 3, {"user_shown": 3})
    first = report.differences[0]
    assert (first["user_id"], first["request_id"]) == ("u0000007", "r-u0000007")
    assert float(first["served"]) == float(first["offline"]) + 1

    told = checks.serving_skew(pipeline=Pipeline(home.settings, profile))
    assert (told.passed, told.metadata["differing"].value) == (False, 3)
    assert "| user_shown |" in told.metadata["differences"].value


def test_what_was_kept_under_a_profile_with_other_inputs_is_left_out(home):
    served(home)
    (file,) = home.lake.home.sampled.glob("ds=*/*.parquet")
    pq.write_table(pq.read_table(file).drop_columns(["user_shown"]), file)
    assert check_skew(home.settings, home.lake, load_profile("simulated")).rows == 0


def test_a_request_after_the_newest_snapshot_waits_for_the_next(home):
    served(home)
    (file,) = home.lake.home.sampled.glob("ds=*/*.parquet")
    later = pq.read_table(file)
    moved = pa.array(
        [t + timedelta(microseconds=1) for t in later["ts"].to_pylist()], later["ts"].type
    )
    pq.write_table(later.set_column(later.schema.get_field_index("ts"), "ts", moved), file)
    assert check_skew(home.settings, home.lake, load_profile("simulated")).rows == 0
