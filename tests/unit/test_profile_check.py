"""`profile check --data` says what would become of what has landed, and ingests nothing."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from exit_pipeline.cli.main import app
from exit_pipeline.errors import ContractError, LandingError
from tests.logs import EVENTS, PROFILE, SmallLog, at, event

LATE = [event("late", at(0)), event("new", at(1)), event("new", at(1))]


def checked(log: SmallLog, *options: str, code: int = 0) -> str:
    """What `profile check --data` prints for a small log."""
    words = ["profile", "check", str(log.profile.file), "--data", *options]
    environment = {"EXIT_HOME": str(log.settings.home), "EXIT_THREADS": "1"}
    made = CliRunner().invoke(app, words, env=environment, catch_exceptions=False)
    assert made.exit_code == code, made.output
    return made.stdout


def landed(tmp_path, rows: list[dict], text: str = PROFILE) -> SmallLog:
    log = SmallLog(tmp_path, text)
    log.land(0, [event("a", at(0))])
    log.land(1, rows)
    return log


def test_the_newest_day_is_judged_and_nothing_is_written(tmp_path):
    text = f"{PROFILE}landing: {{broken_share: 0.5}}\n"
    log = landed(tmp_path, [*LATE, event("x", at(1), domain="x"), event("n", None)], text)
    told = json.loads(checked(log, "--json"))
    assert told["ok"]
    assert told["data"] == {
        "days": ["2026-01-05", "2026-01-06"], "day": "2026-01-06", "read": 5, "good": 2, "late": 1,
        "duplicates": 1, "outside": 0, "quarantine": {"ts_missing": 1, "unknown_domain": 1}, "refusal": None,
        "items": 8, "users": 6,
    }  # fmt: skip
    said = " ".join(checked(log).split())
    assert "events of 2026-01-05 … 2026-01-06, 8 items, 6 users" in said
    assert "2026-01-06: 5 rows read, 2 good (1 late), 1 duplicates" in said
    assert "quarantined: 1 unknown_domain" in said
    assert not log.lake.home.lake.exists()


def test_it_says_what_ingestion_would(tmp_path):
    log = landed(tmp_path, [*LATE, event("a", at(0))])
    log.ingest(0, 0)
    told = json.loads(checked(log, "--json"))["data"]
    (report,) = log.ingest(1, 1)
    assert (told["good"], told["late"], told["duplicates"]) == (2, 1, 2)
    assert (report.events, report.late, report.duplicates) == (2, 1, 2)


def test_a_day_that_would_be_refused_is_said_plainly(tmp_path):
    log = landed(tmp_path, [event("b", at(1)), event("x", at(1), domain="x")])
    refusal = (
        "1 of 2 rows of 2026-01-06 break the contract (unknown_domain: 1), more than the 1.00%"
    )
    said = " ".join(checked(log, code=1).split())
    assert f"this day would be refused: {refusal}" in said
    told = json.loads(checked(log, "--json", code=1))
    assert not told["ok"]
    assert told["data"]["refusal"].startswith(refusal)
    with pytest.raises(ContractError, match="1 of 2 rows"):
        log.ingest(1, 1)


def test_the_columns_of_every_day_are_looked_at(tmp_path):
    log = landed(tmp_path, LATE)
    log.land(0, [], EVENTS.remove(EVENTS.get_field_index("place")))
    with pytest.raises(ContractError, match="column 'place' is missing") as found:
        checked(log)
    assert found.value.where == "events of 2026-01-05"


@pytest.mark.parametrize(("table", "sql", "words"), [
    ("items", "select nosuch from raw_items",
     '"nosuch" not found in FROM clause! (raw_items has item_id, category, valid_from, file, row)'),
    ("users", "select * from raw_user", "(the raw tables are raw_events, raw_items, raw_users)"),
    ("events", "selct 1 from raw_events", "syntax error"),
])  # fmt: skip
def test_an_adapter_that_does_not_run_says_what_it_may_name(tmp_path, table, sql, words):
    log = landed(tmp_path, LATE)
    (log.root / "profile" / f"{table}.sql").write_text(sql)
    with pytest.raises(ContractError) as found:
        checked(log)
    assert words in found.value.what
    assert found.value.where.endswith(f"{table}.sql")


def test_files_that_do_not_lie_by_day(tmp_path):
    tables = "{events: 'log/*.parquet', items: 'items/*.parquet', users: 'users/*.parquet'}"
    log = SmallLog(tmp_path, f"{PROFILE}end: 2026-01-06\nlanding: {{tables: {tables}}}\n")
    (tmp_path / "profile" / "events.sql").write_text("select *, ts::date as ds from raw_events")
    rows = [event("a", at(0)), event("b", at(1)), event("after the end", at(2))]
    log.write("log/all.parquet", rows, EVENTS)
    told = json.loads(checked(log, "--json"))["data"]
    assert (told["days"], told["read"], told["good"]) == (["2026-01-06"], 1, 1)
    assert told["outside"] == 1
    assert "not read: 1 rows of days outside" in checked(log)
    rows.append(event("before the start", at(-1)))
    log.write("log/all.parquet", rows, EVENTS)
    first, last = log.ingest(0, 1)
    assert (first.read, first.outside, last.read, last.outside) == (1, 1, 1, 1)
    assert last.summary.endswith("1 rows of days outside the log not read")


def test_nothing_has_landed(tmp_path):
    log = SmallLog(tmp_path, f"{PROFILE}end: 2026-01-06\n")
    with pytest.raises(LandingError, match="no landing file of 'events'"):
        checked(log)
    log.land(5, [event("f", at(5))])
    with pytest.raises(LandingError, match="for a day of this log"):
        checked(log)


def test_a_package_that_is_not_there_is_named(tmp_path):
    log = SmallLog(tmp_path, f"{PROFILE}landing: {{package: nosuch_logs/data}}\n")
    with pytest.raises(LandingError) as found:
        checked(log)
    assert found.value.mend == "pip install nosuch_logs"


def test_a_key_is_missing(tmp_path):
    log = landed(tmp_path, LATE)
    rows = [{"user_id": None, "segment": "s", "valid_from": at(0)}]
    log.write("users/users.parquet", rows, pa.schema([("user_id", pa.string()),
              ("segment", pa.string()), ("valid_from", pa.timestamp("us", "UTC"))]))  # fmt: skip
    with pytest.raises(ContractError, match=r"user_id is missing \(1\)"):
        checked(log)
