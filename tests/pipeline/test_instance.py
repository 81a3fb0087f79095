"""Runs whose process died are ended, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from assets.definitions import STEPS_AT_ONCE, defs
from assets.instance import BY_COMMAND, close_dead_runs, has_ui, hold_ui, open_instance
from exit_pipeline.errors import LakeError
from exit_pipeline.settings import Home


@pytest.fixture
def instance(tmp_path):
    with open_instance(Home(tmp_path)) as found:
        yield found


def test_threads_do_not_multiply_steps():
    """Each step takes all threads and all of the memory limit."""
    told = defs.executor.config_schema.resolve_config({}).value["config"]
    assert told["max_concurrent"] == STEPS_AT_ONCE == 2


@pytest.mark.parametrize(
    ("by_command", "by_ui", "ended"),
    [(True, False, {"command"}), (False, True, {"ui"}), (True, True, {"command", "ui"})],
)
def test_only_runs_that_must_be_dead_are_ended(instance, by_command, by_ui, ended):
    runs = {
        name: create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags=tags)
        for name, tags in (("command", BY_COMMAND), ("ui", {}))
    }
    close_dead_runs(instance, by_command=by_command, by_ui=by_ui)
    states = {name: instance.get_run_by_id(run.run_id).status for name, run in runs.items()}
    assert {name for name, s in states.items() if s == DagsterRunStatus.FAILURE} == ended


def test_a_ui_holds_its_home_as_long_as_its_process_lives(tmp_path):
    home = Home(tmp_path)
    home.dagster.mkdir()
    assert not has_ui(home)
    code = (
        "import sys, pathlib; from assets.instance import hold_ui; "
        "from exit_pipeline.settings import Home; "
        "hold_ui(Home(pathlib.Path(sys.argv[1]))); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    assert has_ui(home)
    with pytest.raises(LakeError, match="another UI"):
        hold_ui(home)
    holder.kill()
    holder.wait()
    assert not has_ui(home)


def test_settings_of_ones_own_are_left_alone(tmp_path):
    home = Home(tmp_path)
    with open_instance(home):
        pass
    file = home.dagster / "dagster.yaml"
    file.write_text("telemetry: {enabled: false}\n")
    with open_instance(home):
        pass
    assert file.read_text() == "telemetry: {enabled: false}\n"
