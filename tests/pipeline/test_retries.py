"""What is tried again where it failed, what is not, and what a retry may rely on."""

from __future__ import annotations

from datetime import date

import pytest
from dagster import (
    AssetMaterialization,
    AssetSelection,
    DagsterInstance,
    RetryPolicy,
    materialize,
)

from assets import jobs
from assets.definitions import ASSETS
from assets.failures import behind
from assets.jobs import go_back
from assets.partitions import range_tags
from assets.resources import Pipeline
from assets.retries import RETRY
from assets.schedules import nothing_to_train_on
from exit_pipeline.errors import RegistryError, TrainingError
from exit_pipeline.registry.life import Trained
from exit_pipeline.settings import load_settings
from exit_pipeline.training.history import Epoch


@pytest.fixture
def here(tmp_path, simulated):
    """A pipeline on an empty home."""
    return Pipeline(load_settings(home=tmp_path), simulated)


@pytest.fixture
def instance():
    with DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """What is to be tried again is not waited for."""
    monkeypatch.setattr(RetryPolicy, "calculate_delay", lambda policy, attempt: 0)


def made(here: Pipeline, instance: DagsterInstance, *what: str, tags=None):
    return materialize(
        ASSETS, selection=AssetSelection.assets(*what), instance=instance, tags=tags,
        resources={"pipeline": here}, raise_on_error=False,
    )  # fmt: skip


def trained(version: int) -> Trained:
    epoch = Epoch(0, 0.5, 0.4, 1.0, False, {}).to_dict()
    return Trained(version, {"sha256": {"model": "…"}, "split": {}}, {"model": [epoch]})


def failing(*errors: Exception, then=lambda: None):
    """A function that raises one error a call, and then returns; and how often it was called."""
    calls: list[Exception | None] = []

    def called(*_, **__):
        calls.append(errors[len(calls)] if len(calls) < len(errors) else None)
        if calls[-1] is not None:
            raise calls[-1]
        return then()

    return called, calls


def test_what_reaches_outside_is_tried_again():
    outside = {"ingest", "items", "users", "candidate_model", "evaluation", "champion",
               "transfer_report", "online_store"}  # fmt: skip
    policies = {definition.op.name: definition.op.retry_policy for definition in ASSETS}
    assert {name for name, policy in policies.items() if policy == RETRY} == outside
    assert go_back.retry_policy == RETRY


def test_a_model_is_trained_after_a_hiccup_and_knows_what_was_there_when_it_began(
    here, instance, monkeypatch
):
    def land() -> None:
        rows = AssetMaterialization("training_set", partition="2026-01-18")
        instance.report_runless_asset_event(rows)

    def train_meanwhile() -> Trained:
        land()
        return trained(1)

    away = RegistryError("MLflow does not answer")
    train, calls = failing(away, away, then=train_meanwhile)
    monkeypatch.setattr("exit_pipeline.registry.life.train", train)
    land()
    assert made(here, instance, "candidate_model").success
    assert len(calls) == 3
    assert nothing_to_train_on(instance) == ""
    train, _ = failing(then=lambda: trained(2))
    monkeypatch.setattr("exit_pipeline.registry.life.train", train)
    assert made(here, instance, "candidate_model").success
    assert "newer" in nothing_to_train_on(instance)


@pytest.mark.parametrize(
    ("asset", "name"),
    [
        ("candidate_model", "registry.life.train"),
        ("evaluation", "registry.life.evaluate_version"),
        ("champion", "registry.life.decision_about"),
        ("transfer_report", "report.build_report"),
    ],
)
def test_what_rows_or_settings_decide_is_not_tried_again(here, instance, monkeypatch, asset, name):
    refuses, calls = failing(TrainingError("one class only", mend="land more days"))
    monkeypatch.setattr(f"exit_pipeline.{name}", refuses)
    result = made(here, instance, asset)
    assert len(calls) == 1
    (failed,) = result.get_step_failure_events()
    error = behind(failed.step_failure_data.error)
    assert error.cls_name == "TrainingError"
    assert "mend:  land more days" in error.message


def test_a_day_that_did_not_land_is_not_looked_for_again(here, instance):
    day = range_tags(date(2026, 1, 5), date(2026, 1, 5))
    result = made(here, instance, "events", "quarantine", tags=day)
    (failed,) = result.get_step_failure_events()
    assert behind(failed.step_failure_data.error).cls_name == "LandingError"
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_a_rollback_waits_for_a_registry_that_is_away(here, instance, monkeypatch):
    rollback, calls = failing(RegistryError("MLflow does not answer"))
    monkeypatch.setattr(jobs, "PIPELINE", here)
    monkeypatch.setattr("exit_pipeline.registry.Registry.rollback", rollback)
    config = {"champion": 2, "to": 1, "reason": "it hurt"}
    told = {"ops": {"go_back": {"config": config}}}
    assert jobs.roll_back.execute_in_process(run_config=told, instance=instance).success
    assert len(calls) == 2
