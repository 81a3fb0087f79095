"""`status` says how far the data is, what is held up, which model answers, and what failed last."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from exit_pipeline.cli.main import app
from exit_pipeline.errors import GateRefusal
from exit_pipeline.evaluation.gates import Decision, GateResult
from exit_pipeline.monitoring import failures
from exit_pipeline.monitoring.failures import newest_failure, tell
from exit_pipeline.registry import Registry
from tests.logs import DAY, PROFILE, SmallLog, at, event

NO = Decision(False, "refused by calibrated", [GateResult("calibrated", False, "0.03", "0.02")], 1)


def asked(log: SmallLog, *options: str, **environment: str) -> str:
    words = ["status", "--profile", str(log.profile.file), *options]
    environment = {"EXIT_HOME": str(log.settings.home), **environment}
    made = CliRunner().invoke(app, words, env=environment, catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return made.stdout


def register(log: SmallLog) -> int:
    folders = {}
    for name in ("model", "baseline"):
        folders[name] = log.root / name
        folders[name].mkdir(exist_ok=True)
        (folders[name] / "model.safetensors").write_bytes(b"weights")
    return Registry(log.lake.home, "small").register(folders, {}, {"model": "exit"})


def test_before_anything_was_done(tmp_path):
    log = SmallLog(tmp_path)
    told = json.loads(asked(log, "--json"))
    assert told == {
        "profile": "small", "home": str(log.lake.home.root), "landed": None, "ingested": None,
        "missing": None, "labelled": None, "unfit": [], "online": {}, "failure": None,
        "champion": None, "challenger": None, "problems": [],
    }  # fmt: skip
    assert not log.lake.home.mlflow.exists()
    assert "nothing is ingested" in asked(log)


def test_a_missing_day_labels_checks_and_features_online(tmp_path):
    log = SmallLog(tmp_path)
    log.run({0: [event("a", at(0))], 1: [], 2: []})
    log.land(4, [])
    log.ingest(4, 4)
    log.land(5, [])
    log.lake.home.feast.mkdir()
    days = {"user_features": {str(DAY): "x"}, "scene_features": {}}
    log.lake.home.online_days.write_text(json.dumps(days))
    told = json.loads(asked(log, "--json"))
    days = [str(DAY + timedelta(days=n)) for n in range(6)]
    assert (told["landed"], told["ingested"], told["missing"]) == (days[5], days[4], days[3])
    assert told["labelled"] == days[1]
    assert told["online"] == {"user_features": days[0]}
    assert told["unfit"][0] == "items:great_expectations"
    assert (
        "events:great_expectations on 2026-01-05, 2026-01-06, 2026-01-07 and 1 more days"
        in told["unfit"]
    )
    said = asked(log)
    assert f"MISSING     {days[3]}: what it would mature waits" in said
    assert "NOT PASSED  events:great_expectations" in said
    assert f"online      features up to {days[0]}" in said


def test_the_champion_and_a_challenger_that_was_refused(tmp_path):
    log = SmallLog(tmp_path)
    registry = Registry(log.lake.home, "small")
    registry.force(register(log), "the first")
    told = json.loads(asked(log, "--json"))
    assert (told["champion"]["version"], told["challenger"]) == (1, None)
    assert told["champion"]["reason"] == "by hand: the first"
    assert 0 <= told["champion"]["age_days"] < 1
    with pytest.raises(GateRefusal):
        registry.decide(register(log), NO)
    said = asked(log)
    assert f"champion    version 1 since {told['champion']['since']}, trained 0.0 days ago" in said
    assert "challenger  version 2 refused: refused by calibrated" in said
    registry.client.set_registered_model_alias(registry.name, "champion", "2")
    assert "champion    version 2, trained 0.0 days ago: moved by hand" in asked(log)


def test_what_failed_last(tmp_path):
    log = SmallLog(tmp_path)
    home = log.lake.home
    assert newest_failure(home) is None
    tell(home, {"job": "retrain", "steps": ["candidate_model"], "error": "A"}, "before", None)
    failure = {"job": "daily_ingest", "steps": ["events"], "error": "ContractError"}
    tell(home, failure, "a column is missing\n  where: x", "http://127.0.0.1:1")
    with home.failures.open("a") as file:
        file.write('{"at": "half wri')
    told = json.loads(asked(log, "--json"))["failure"]
    assert {name: told[name] for name in failure} == failure
    assert asked(log).splitlines()[-2].endswith(" daily_ingest (events): a column is missing")


def test_a_failure_is_told_where_the_home_is_full(tmp_path, monkeypatch):
    home, posted = SmallLog(tmp_path).lake.home, []
    monkeypatch.setattr(failures, "_post", lambda told, webhook: posted.append(told))
    home.failures.mkdir(parents=True)  # nothing can be written there
    with pytest.raises(OSError, match="directory"):
        tell(home, {"job": "retrain"}, "the disk is full", "http://127.0.0.1:1")
    assert [told["job"] for told in posted] == ["retrain"]


def test_a_line_that_was_cut_off_hides_no_later_failure(tmp_path):
    home = SmallLog(tmp_path).lake.home
    tell(home, {"job": "before"}, "-", None)
    with home.failures.open("a") as file:
        file.write('{"at": "half wri')
    assert newest_failure(home)["job"] == "before"
    tell(home, {"job": "after"}, "-", None)
    assert newest_failure(home)["job"] == "after"
    assert len(home.failures.read_text().splitlines()) == 3


def test_what_is_away_does_not_hide_the_rest(tmp_path):
    log = SmallLog(tmp_path, f"{PROFILE}landing: {{package: nosuch_logs/data}}\n")
    broken = tmp_path / "store.db"
    broken.write_bytes(b"no database at all, whatever its name says")
    told = json.loads(asked(log, "--json", MLFLOW_TRACKING_URI=f"sqlite:///{broken}"))
    assert len(told["problems"]) == 2
    assert "'nosuch_logs'" in told["problems"][0]
    assert "store could not be reached" in told["problems"][1]
    assert "champion" not in told


def test_it_starts_without_what_takes_long_to_import(tmp_path):
    seen = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from exit_pipeline.cli.main import app\n"
        f"made = CliRunner().invoke(app, ['status'], env={{'EXIT_HOME': {str(tmp_path)!r}}})\n"
        "heavy = {'torch', 'feast', 'great_expectations', 'mlflow', 'dagster'}\n"
        "print(made.exit_code, heavy & set(sys.modules))\n"
        "import exit_pipeline.registry\n"
        "print('torch' in sys.modules)\n"
    )
    words = [sys.executable, "-c", seen]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[:2] == ["0 set()", "False"]


def test_brackets_in_a_reason_are_no_markup(tmp_path):
    log = SmallLog(tmp_path)
    Registry(log.lake.home, "small").force(register(log), "[ops-12] again [/ops]")
    words = ["models", "--profile", str(log.profile.file)]
    told = CliRunner().invoke(app, words, env={"EXIT_HOME": str(log.settings.home)})
    assert told.exit_code == 0
    assert "champion → 1: by hand: [ops-12] again [/ops]" in told.stdout


def test_a_rollback_needs_no_reason(tmp_path):
    log = SmallLog(tmp_path)
    registry = Registry(log.lake.home, "small")
    for _ in range(2):
        registry.force(register(log), "for the test")
    words = ["rollback", "--profile", str(log.profile.file), "--json"]
    told = CliRunner().invoke(app, words, env={"EXIT_HOME": str(log.settings.home)})
    assert json.loads(told.stdout) == {"version": 1, "left": 2, "reason": "by hand"}
