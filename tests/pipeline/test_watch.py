"""The watch over a champion, ticked: what its checks measure, what the sensor asks for, and does."""

from __future__ import annotations

import shutil
from copy import deepcopy
from dataclasses import replace

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    SkipReason,
    build_sensor_context,
    materialize,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.test_utils import create_run_for_test

from assets import jobs, watch
from assets.definitions import ASSETS, defs
from assets.resources import Pipeline
from exit_pipeline.evaluation import Decision, evaluate
from exit_pipeline.evaluation.rows import read_rows
from exit_pipeline.monitoring.drift import REFERENCE, make_reference, newest_files
from exit_pipeline.monitoring.figures import kept_figures
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.registry import Registry
from exit_pipeline.settings import load_settings
from exit_pipeline.training import load_model, save_model

DAYS = 5


@pytest.fixture
def instance():
    with DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def here(small_home, empty_store, tmp_path, monkeypatch, simulated):
    """A copy of the small home's tables and no model, as the sensor sees them."""
    pipeline = Pipeline(load_settings(home=tmp_path / "home"), simulated)
    for part in ("lake", "verdicts"):
        shutil.copytree(small_home.lake.home.root / part, pipeline.home.root / part)
    pipeline.home.mlflow.mkdir()
    shutil.copy(empty_store, pipeline.home.mlflow)
    for module in (watch, jobs):
        monkeypatch.setattr(module, "PIPELINE", pipeline)
    return pipeline


@pytest.fixture
def registry(here, small_home, tmp_path):
    """Versions 1 and 2 are one model, but 2 says of everything that it is more likely than it is.

    Both were promoted on figures that 1 keeps; five days have matured since.
    """
    source, registry = (Registry(home, "simulated") for home in (small_home.lake.home, here.home))
    model, lineage = load_model(source.folder(1)), deepcopy(source.get(1).lineage)
    lineage["split"] = {part: ["2026-01-05", "2026-01-09"] for part in lineage["split"]}
    files = newest_files(here.lake("test"), DAYS)
    figures = evaluate(Scorer(model), read_rows(files, [model])).to_dict()
    for more in (0.0, 2.0):
        folder = tmp_path / str(more) / "model"
        calibration = replace(model.calibration, bias=model.calibration.bias + more)
        save_model(replace(model, calibration=calibration), folder)
        version = registry.register({"model": folder}, {}, lineage)
        registry.record(version, {}, "evaluation.json", {"model": figures})
        registry.force(version, "for the test")
    return registry


def with_reference(here: Pipeline, registry: Registry, version: int) -> None:
    files = newest_files(here.lake("test"), DAYS)
    kept = make_reference(here.settings, here.home, registry.folder(version), files)
    registry.record(version, {}, REFERENCE, kept)


def check(pipeline: Pipeline, instance: DagsterInstance) -> dict[str, dict]:
    """Runs the checks in a run of their own; returns their metadata."""
    chosen = AssetSelection.checks(*watch.WATCHES)
    result = materialize(
        [*ASSETS, *watch.WATCHES], selection=chosen, instance=instance,
        resources={"pipeline": pipeline},
    )  # fmt: skip
    assert result.success
    return {
        found.check_name: {n: v.value for n, v in found.metadata.items()}
        for found in result.get_asset_check_evaluations()
    }


def tick(instance: DagsterInstance) -> RunRequest | SkipReason:
    return watch.champion_sensor(build_sensor_context(instance=instance, definitions=defs))


def plan_checks(instance: DagsterInstance) -> None:
    """A run that is to check the table, and has not yet; one that died leaves the same."""
    for check in watch.WATCHES:
        planned = AssetCheckEvaluationPlanned(
            asset_key=AssetKey(watch.WATCHED), check_name=check.check_key.name
        )
        kind = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value
        event = DagsterEvent(kind, "retrain", event_specific_data=planned)
        instance.report_dagster_event(event, run_id="planned")


def with_rows(instance: DagsterInstance) -> None:
    instance.report_runless_asset_event(
        AssetMaterialization("training_set", partition="2026-01-14")
    )


def test_without_a_champion_nothing_is_asked_for(here, instance):
    told = check(here, instance)
    assert {one["asks_for"] for one in told.values()} == {"nothing"}
    assert isinstance(tick(instance), SkipReason)


def test_a_champion_that_went_wrong_is_rolled_back_with_the_reason(here, instance, registry):
    told = check(here, instance)["champion_performance"]
    assert (told["asks_for"], told["champion"], told["back_to"]) == ("roll back", 2, 1)
    assert told["logloss_now"] > 1.2 * told["logloss_at_promotion"]
    kept = kept_figures(here.home)["champion_performance"]
    assert kept == {n: value for n, value in told.items() if isinstance(value, int | float)}
    plan_checks(instance)
    create_run_for_test(instance, job_name="late_data", status=DagsterRunStatus.STARTED)
    asked = tick(instance)  # it does not wait for days that are being built
    assert asked.job_name == "roll_back"
    assert tick(instance).run_key == asked.run_key  # once for these rows
    assert jobs.roll_back.execute_in_process(run_config=asked.run_config, instance=instance).success
    assert registry.number("champion") == 1
    assert registry.get(2).withdrawn.startswith("by itself: logloss")
    # Asked again though another is champion: nothing is done.
    assert jobs.roll_back.execute_in_process(run_config=asked.run_config, instance=instance).success
    assert registry.number("champion") == 1
    assert tick(instance).skip_message == "what asked for something is no longer champion"

    held = check(here, instance)["champion_performance"]
    assert (held["asks_for"], held["champion"]) == ("nothing", 1)
    assert isinstance(tick(instance), SkipReason)


def test_without_a_better_champion_before_a_new_model_is_asked_for_once(here, instance, registry):
    registry.rollback("it was worse")
    bad = Registry(here.home, "simulated")
    perfect = {"logloss": 0.01, "predicted_to_actual": 1.0, "rows": 1000, "positives": 100}
    bad.record(1, {}, "evaluation.json", {"model": {"all": perfect}})
    told = check(here, instance)["champion_performance"]
    assert told["asks_for"] == "retrain"
    assert "there is no earlier champion" in told["reason"]
    assert isinstance(tick(instance), SkipReason)  # no rows were materialized here
    with_rows(instance)
    asked = tick(instance)
    assert asked.job_name == "retrain"
    assert "no earlier champion" in asked.tags["exit/reason"]
    trained = AssetMaterialization("candidate_model", metadata={"version": 3})
    instance.report_runless_asset_event(trained)
    assert isinstance(tick(instance), SkipReason)  # a model of these rows is there


def test_inputs_that_drifted_ask_for_a_model_unless_a_blocking_check_failed(
    here, instance, registry, monkeypatch
):
    registry.rollback("it was worse")
    lake = here.lake("test")
    with_reference(here, registry, 1)
    with_rows(instance)
    before = check(here, instance)["feature_drift"]
    assert (before["asks_for"], before["drifted_days"]) == ("nothing", 0)
    assert before["inputs_judged"] > 5
    assert isinstance(tick(instance), SkipReason)

    days = sorted(lake.days("training_set"))[-2:]
    with here.connect() as duck:
        lake.view(duck, "training_set", [("ds", ">=", days[0])])
        duck.execute(
            "create table moved as select * replace (9999 as feed_recency_hours) from training_set"
        )
        lake.replace(duck, "training_set", "moved", days)
    told = check(here, instance)["feature_drift"]
    assert (told["asks_for"], told["drifted_days"]) == ("retrain", 2)
    assert told["reason"] == "2 of 5 days drifted from version 1: feed_recency_hours"
    # The rows that were changed by hand were never validated.
    refused = tick(instance)
    assert "training_set:great_expectations" in refused.skip_message
    monkeypatch.setattr("exit_pipeline.validation.verdicts.failed_checks", lambda lake, spec: [])
    run = create_run_for_test(instance, job_name="late_data", status=DagsterRunStatus.STARTED)
    assert "being built" in tick(instance).skip_message
    instance.report_run_failed(run)
    assert tick(instance).job_name == "retrain"


def test_inputs_that_the_training_set_has_no_more_are_told(here, instance, registry):
    """A profile drops an input; its tables are forgotten and built again."""
    lake = here.lake("test")
    with_reference(here, registry, 2)
    days = sorted(lake.days("training_set"))
    with here.connect() as duck:
        lake.view(duck, "training_set")
        for name, rows in {"without": "", "empty": " where false"}.items():
            duck.execute(
                f"create table {name} as "
                f"select * exclude (feed_recency_hours, place) from training_set{rows}"
            )
        shutil.rmtree(lake.folder("training_set"))
        lake.replace(duck, "training_set", "without", days)
        found = check(here, instance)
        lake.replace(duck, "training_set", "empty", days)
        without_rows = check(here, instance)["feature_drift"]
        shutil.rmtree(lake.folder("training_set"))
        without_table = check(here, instance)["feature_drift"]
    told = found["feature_drift"]
    assert told["reason"].startswith(
        "version 2 reads what training_set has no more: feed_recency_hours, place; 0 of 5 days"
    )
    assert (told["asks_for"], told["inputs_gone"]) == ("nothing", 2)
    assert told["inputs_judged"] > 5
    assert "| place | gone |" in told["psi"]
    assert found["champion_performance"]["could_not_run"]
    for nothing in (without_rows, without_table):
        assert nothing["reason"] == "no day of 500 rows yet"


def test_a_champion_without_a_reference_is_told(here, instance, registry):
    (told,) = (
        found
        for found in materialize(
            [*ASSETS, *watch.WATCHES], selection=AssetSelection.checks(watch.feature_drift),
            instance=instance, resources={"pipeline": here},
        ).get_asset_check_evaluations()
    )  # fmt: skip
    assert not told.passed
    assert told.metadata["reason"].value.startswith("nothing says how the inputs of version 2")


def test_a_candidate_is_judged_again_where_another_became_champion_meanwhile(
    here, instance, registry, tmp_path, monkeypatch
):
    models, lineage = {"model": tmp_path / "0.0" / "model"}, registry.get(1).lineage
    candidate = registry.register(models, {}, lineage)
    trained = AssetMaterialization("candidate_model", metadata={"version": candidate})
    instance.report_runless_asset_event(trained)
    judged = []

    def evaluated(lake, profile, which):
        judged.append(registry.number("champion"))
        registry.force(1, "meanwhile")
        return which, Decision(True, "it was better", [], judged[-1]), {}

    monkeypatch.setattr("exit_pipeline.registry.life.evaluate_version", evaluated)
    result = materialize(
        ASSETS, selection="champion", instance=instance, resources={"pipeline": here}
    )
    assert result.success
    assert judged == [2, 1]
    assert registry.number("champion") == candidate


def test_a_registered_version_has_its_reference_beside_it(small_home):
    kept = Registry(small_home.lake.home, "simulated").document(1, REFERENCE)
    assert set(kept) == {"edges", "counts", "own"}
    assert "user_id" not in kept["counts"]
    assert sum(kept["counts"]["place"].values()) > 0
