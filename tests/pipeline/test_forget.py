"""The command `forget` on a whole home: killed, called again, and what a run makes of it then."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import dagster
import pyarrow.parquet as pq
import pytest
from dagster._core.test_utils import create_run_for_test

from assets.instance import idle, only_run, open_instance
from exit_pipeline.errors import LakeError
from exit_pipeline.settings import Home
from exit_pipeline.validation.verdicts import failed_checks
from tests.conftest import SmallHome, kill

USER = "u0000017"
TABLES = (
    "events, items, users, user_features, item_features, user_interest, impressions, "
    "source_interest, group_consistency, scene_features, icl_labels, training_set"
)


@pytest.fixture
def home(small_home, tmp_path) -> SmallHome:
    """A copy of all but the registry, whose places are those of the original."""
    for part in ("lake", "feast", "landing", "verdicts", "reports"):
        shutil.copytree(small_home.lake.home.root / part, tmp_path / "simulated" / part)
    return SmallHome(tmp_path)


def holding(root: Path) -> list[str]:
    return [str(f) for f in root.glob("**/*.parquet") if USER in str(pq.read_table(f).to_pylist())]


def kill_when(home: SmallHome, happened) -> None:
    process = home.start("forget", USER)
    while not happened():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    kill(process)


@pytest.mark.slow
def test_killed_and_called_again_it_ends_and_runs_go_on_without_the_person(home, simulated):
    root, before = home.lake.home.root, home.hashes()
    fit = failed_checks(home.lake, simulated.spec)
    kill_when(home, (root / "forgotten.json").exists)
    kill_when(home, lambda: home.lake.version("impressions") > 0)
    assert holding(root)
    told = json.loads(home.ask("forget", USER, "--reason", "asked to", "--json"))
    assert told["new"] is False
    assert "run the graph" in told["notes"][-1]
    assert holding(root) == []
    assert failed_checks(home.lake, simulated.spec) == fit == []
    assert "nothing of this id was found" in home.ask("forget", USER)
    left = home.hashes()
    # Days of theirs are others, days without them are the same.
    theirs = {d for d in before["events"] if before["events"][d] != left["events"][d]}
    assert 0 < len(theirs) < len(before["events"])
    home.run("run", "--select", TABLES)
    assert home.hashes()["events"] == left["events"]
    assert home.hashes()["group_sums"] != before["group_sums"]
    assert holding(root) == []


def test_it_is_refused_while_a_run_goes_on(home):
    with only_run(home.lake.home):
        assert "another run is going on" in home.run("forget", USER, code=1)
    assert not (home.lake.home.root / "forgotten.json").exists()


@dagster.job
def anything():
    pass


def test_it_is_refused_while_a_run_of_the_ui_waits_to_begin(tmp_path, monkeypatch):
    monkeypatch.setattr("assets.instance.has_ui", lambda home: True)
    home = Home(tmp_path)
    with open_instance(home) as instance:
        create_run_for_test(instance, status=dagster.DagsterRunStatus.NOT_STARTED)
    with pytest.raises(LakeError, match="or waits"), idle(home):
        pass


def test_a_run_of_the_ui_that_begins_meanwhile_is_told(tmp_path):
    home = Home(tmp_path)
    began = pytest.raises(LakeError, match="began meanwhile")
    with began, idle(home), open_instance(home) as instance:
        anything.execute_in_process(instance=instance)
    with idle(home):
        pass
