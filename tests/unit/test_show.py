"""`show` shows rows of a table, and says which tables and days there are."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from exit_pipeline.cli.main import app
from exit_pipeline.errors import UsageError
from tests.logs import DAY, PROFILE, SmallLog, at, event

TEXT = f"{PROFILE}landing: {{broken_share: 0.5}}\n"


def shown(log: SmallLog, *words: str) -> str:
    words = ["show", *words, "--profile", str(log.profile.file)]
    environment = {"EXIT_HOME": str(log.settings.home), "EXIT_THREADS": "1"}
    made = CliRunner().invoke(app, words, env=environment, catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return made.stdout


def told(log: SmallLog, *words: str) -> dict:
    return json.loads(shown(log, *words, "--json"))


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> SmallLog:
    small = SmallLog(tmp_path_factory.mktemp("log"), TEXT)
    small.land(0, [event("a", at(0)), event("x", at(0), domain="x"), event("b", at(0))])
    small.land(1, [event("c", at(1)), event("n", at(1), user_id=None), event("late", at(0))])
    small.land(2, [])
    small.ingest(0, 2)
    return small


def test_quarantine_says_rule_file_and_row_first(log):
    found = told(log, "quarantine")
    assert (found["table"], found["day"], found["total"]) == ("quarantine", None, 2)
    assert [list(row)[:3] for row in found["rows"]] == [["rule", "file", "row"]] * 2
    assert [(row["rule"], row["file"], row["row"]) for row in found["rows"]] == [
        ("user_id_missing", "events/ds=2026-01-06/part-0.parquet", 1),
        ("unknown_domain", "events/ds=2026-01-05/part-0.parquet", 1),
    ]
    said = shown(log, "quarantine", "--day", "2026-01-05")
    assert said.startswith("rule      unknown_domain\nfile      events/ds=2026-01-05/part-0")
    assert '"domain":"x"' in said
    assert said.endswith("1 of 1 rows\n")


def test_rows_of_the_newest_days_come_first(log):
    assert [row["event_id"] for row in told(log, "events")["rows"]] == ["c", "late", "a", "b"]
    found = told(log, "events", "--limit", "1")
    assert (found["total"], [row["event_id"] for row in found["rows"]]) == (4, ["c"])


def test_a_day_is_the_one_that_landed(log):
    found = told(log, "events", "--day", "2026-01-06")
    assert [(row["event_id"], row["ds"]) for row in found["rows"]] == [
        ("c", "2026-01-06"), ("late", "2026-01-05")]  # fmt: skip
    assert found["rows"][0]["ts"] == "2026-01-06T12:00:00+00:00"
    assert shown(log, "events", "--day", "2026-01-07") == "0 of 0 rows\n"


def test_a_table_that_fits_is_a_table(log):
    said = shown(log, "items", "--limit", "2")
    assert "┃ item_id" in said
    assert said.endswith("2 of 8 rows\n")


def test_odd_values_are_shown_as_they_are(tmp_path):
    odd = SmallLog(tmp_path)
    odd.items = [{"item_id": "[red]1[/red]", "category": None, "valid_from": at(-1)}]
    odd.__post_init__()
    odd.land(0, [])
    odd.ingest(0, 0)
    assert "[red]1[/red]" in shown(odd, "items")
    assert told(odd, "items")["rows"][0]["category"] is None


def test_what_is_not_a_number_is_null(log):
    with log.connect() as duck:
        duck.execute(
            "create temp table made as "
            f"select date '{DAY}' as ds, 'nan'::double as x, [1.5, 'inf'::double] as y"
        )
        log.lake.replace(duck, "odd", "made", [DAY])
    assert told(log, "odd")["rows"] == [{"x": None, "y": [1.5, None], "ds": "2026-01-05"}]


@pytest.mark.parametrize(("words", "said"), [
    (["quarantin"], "did you mean 'quarantine'? one of events, items,"),
    (["../events"], "there is no table '../events'"),
    (["events", "--day", "2026-02-01"], "the nearest is --day 2026-01-07"),
    (["users", "--day", "2026-01-05"], "the table 'users' has no days"),
])  # fmt: skip
def test_what_is_not_there_is_refused_with_what_is(log, words, said):
    with pytest.raises(UsageError) as found:
        shown(log, *words)
    assert said in str(found.value)


def test_before_any_table_was_built(tmp_path):
    with pytest.raises(UsageError, match="no table was built yet"):
        shown(SmallLog(tmp_path), "events")
