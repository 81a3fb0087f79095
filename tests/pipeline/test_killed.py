"""A run that is killed, at whatever stage, and run again ends as one that was left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus

from assets.instance import open_instance
from exit_pipeline.registry import Registry
from tests.conftest import SmallHome, kill

# The stages of a run, and how many seconds into each it is killed.
KILLS = {
    "events, items, users": (0.2, 1.0),
    "user_features, item_features, user_interest": (0.4,),
    "impressions, source_interest": (0.4,),
    "group_consistency": (0.3,),
    "scene_features": (0.3,),
    "icl_labels, training_set": (0.5,),
    "group:model, online_store": (0.4, 6.0),  # the second amid training
}


def kills() -> Iterator[tuple[str, float]]:
    """Yields what to select, and the seconds into its last stage; the one before heals in it."""
    before = ""
    for stage, moments in KILLS.items():
        for seconds in moments:
            yield f"{before}{stage}", seconds
        before = f"{stage}, "


def challenger(home: SmallHome) -> dict:
    return Registry(home.lake.home, "simulated").get("challenger").lineage


@pytest.mark.slow
def test_a_run_killed_at_each_stage_ends_as_a_run_left_alone(small_home, tmp_path):
    home = SmallHome(tmp_path)
    home.land()
    for selection, seconds in kills():
        process = home.start("run", "--select", selection)
        titles = (line for line in process.stdout if line.strip())
        last = selection.split(", ")[-1]
        # Each line is the title of a stage that begins.
        assert any(last in title for title in titles)
        time.sleep(seconds)
        kill(process)
    home.run("run")
    with open_instance(home.lake.home) as instance:  # what died is not shown as going on
        states = {run.status for run in instance.get_runs()}
    assert states == {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE}
    assert home.hashes() == small_home.hashes()
    assert challenger(home)["sha256"] == challenger(small_home)["sha256"]
