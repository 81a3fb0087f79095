"""The graph as it is meant to be: keys, dependencies, groups, partitions, checks, schedules."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from dagster import AssetMaterialization, DagsterInstance, SkipReason, build_schedule_context

from assets.definitions import defs
from assets.partitions import daily, mature, mornings
from assets.schedules import retrain_schedule
from assets.training import _candidate
from exit_pipeline.validation import BLOCKING

DEPENDENCIES = {
    "events": set(),
    "quarantine": set(),
    "items": set(),
    "users": set(),
    "impressions": {"events", "items", "users"},
    "source_interest": {"events", "items", "impressions"},
    "group_consistency": {"impressions", "source_interest", "events", "items", "users"},
    "icl_labels": {"impressions", "source_interest", "group_consistency"},
    "user_features": {"events", "users"},
    "item_features": {"events", "items"},
    "scene_features": {"group_consistency"},
    "user_interest": {"events", "items"},
    "training_set": {"icl_labels", "impressions", "user_features", "item_features",
                     "scene_features", "user_interest"},
    "candidate_model": {"training_set"},
    "evaluation": {"candidate_model"},
    "champion": {"evaluation"},
    "transfer_report": {"evaluation", "champion"},
    "online_store": {"user_features", "item_features", "scene_features", "user_interest"},
}  # fmt: skip
GROUPS = {
    "ingest": {"events", "quarantine", "items", "users"},
    "labels": {"impressions", "source_interest", "group_consistency", "icl_labels"},
    "features": {"user_features", "item_features", "scene_features", "user_interest",
                 "training_set"},
    "model": {"candidate_model", "evaluation", "champion", "transfer_report"},
    "online": {"online_store"},
}  # fmt: skip
UNPARTITIONED = {"items", "users", "candidate_model", "evaluation", "champion", "transfer_report",
                 "online_store"}  # fmt: skip


def name(key) -> str:
    return key.to_user_string()


def test_keys_dependencies_and_groups():
    graph = defs.resolve_asset_graph()
    found = {
        name(k): {name(p) for p in graph.get(k).parent_keys} for k in graph.get_all_asset_keys()
    }
    assert found == DEPENDENCIES
    groups: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        groups.setdefault(graph.get(key).group_name, set()).add(name(key))
    assert groups == GROUPS


def test_policies_hold_for_every_asset():
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners == ["team:recommendations"], key
        assert node.code_version, key
        assert node.description, key
        assert (node.partitions_def is None) == (name(key) in UNPARTITIONED), key
        if node.partitions_def:
            assert node.backfill_policy.max_partitions_per_run is None, key


def test_every_table_has_a_blocking_check():
    graph = defs.resolve_asset_graph()
    keys = [key for key in graph.asset_check_keys if graph.get_check_spec(key).blocking]
    assert {(name(key.asset_key), key.name) for key in keys} == set(BLOCKING)
    tables = set(DEPENDENCIES) - GROUPS["model"] - GROUPS["online"]
    assert {table for table, _ in BLOCKING} == tables


def test_a_day_that_cannot_be_built_yet_is_no_partition():
    """The log is of 2026-01-05 … 2026-02-01; its exposures are mature after two days."""
    found = {
        name: (days.get_first_partition_key(), days.get_last_partition_key())
        for name, days in {"mature": mature, "daily": daily, "mornings": mornings}.items()
    }
    assert found == {
        "mature": ("2026-01-05", "2026-01-31"),
        "daily": ("2026-01-05", "2026-02-01"),
        "mornings": ("2026-01-07", "2026-02-02"),
    }


def test_what_follows_new_content_and_what_waits_for_a_schedule():
    graph = defs.resolve_asset_graph()
    follows = {name(k) for k in graph.get_all_asset_keys() if graph.get(k).automation_condition}
    assert follows == set(DEPENDENCIES) - GROUPS["ingest"] - GROUPS["model"]
    repository = defs.get_repository_def()
    assert {s.name for s in repository.sensor_defs} == {
        "automation", "landing_sensor", "late_data_sensor", "champion_sensor",
        "put_off_sensor", "failure_sensor",
    }  # fmt: skip

    assert all(s.default_status.value == "RUNNING" for s in repository.sensor_defs)
    assert all(s.default_status.value == "RUNNING" for s in defs.get_repository_def().schedule_defs)


def test_nothing_is_retrained_on_the_same_rows(tmp_path):
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        context = build_schedule_context(instance=instance)
        assert isinstance(retrain_schedule(context), SkipReason)


@pytest.mark.parametrize(
    ("reported", "meant"), [(None, "challenger"), ({}, "challenger"), ({"version": 3}, 3)]
)
def test_the_version_to_evaluate_is_the_graphs_own_and_else_the_newest(reported, meant):
    """A materialization that was reported by hand names no version."""
    with DagsterInstance.ephemeral() as instance:
        if reported is not None:
            event = AssetMaterialization("candidate_model", metadata=reported)
            instance.report_runless_asset_event(event)
        assert _candidate(SimpleNamespace(instance=instance)) == meant


def test_jobs_and_schedules():
    repository = defs.get_repository_def()
    assert {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")} == {
        "daily_ingest", "retrain", "refresh_online", "backfill", "late_data",
        "roll_back",
    }  # fmt: skip
    assert {s.name: s.cron_schedule for s in repository.schedule_defs} == {
        "daily_schedule": "0 3 * * *",
        "retrain_schedule": "0 5 * * *",
    }


def test_definitions_load_without_the_heavy_libraries():
    code = (
        "import sys, assets.definitions\n"
        "heavy = {'torch', 'feast', 'great_expectations', 'mlflow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
